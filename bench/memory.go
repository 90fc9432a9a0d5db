package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// helpers are the processes that an enforced container has beside it.
var helpers = [...]string{"nemoclaw-supervisor", "nemoclaw-broker"}

// printMemory prints what the helpers of one idle container hold, as
// proportional set size: shared pages count in parts.
func printMemory(r *runtime, dir string) error {
	bundle, err := makeBundle(dir, "/bin/sleep", "1000")
	if err != nil {
		return err
	}
	const id = "nemoclaw-bench-memory"
	before, err := pssByName()
	if err != nil {
		return err
	}
	defer func() { _, _ = r.verb("delete", "--force", id) }()
	if _, err := r.verb("create", "--bundle", bundle, id); err != nil {
		return err
	}
	if _, err := r.verb("start", id); err != nil {
		return err
	}
	after, err := pssByName()
	if err != nil {
		return err
	}
	sum := 0
	for _, name := range helpers {
		kib := after[name] - before[name]
		sum += kib
		fmt.Printf("%-20s %6.1f MB PSS\n", name, float64(kib)/1024)
	}
	fmt.Printf("%-20s %6.1f MB PSS\n", "together", float64(sum)/1024)
	return nil
}

// pssByName gives the summed PSS of the helpers on this machine, in KiB.
func pssByName() (map[string]int, error) {
	sums := map[string]int{}
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, err
	}
	for _, exe := range exes {
		target, err := os.Readlink(exe)
		if err != nil {
			continue // ended, or a kernel thread
		}
		for _, name := range helpers {
			if strings.TrimSuffix(filepath.Base(target), " (deleted)") == name {
				sums[name] += pss(filepath.Dir(exe))
			}
		}
	}
	return sums, nil
}

// pss reads one process's proportional set size in KiB; 0 once it has ended.
func pss(proc string) int {
	f, err := os.Open(filepath.Join(proc, "smaps_rollup"))
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(value, "kB")))
			return kib
		}
	}
	return 0
}
