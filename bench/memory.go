package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// helpers are the processes that an enforced container has beside it.
var helpers = [...]string{"nemoclaw-supervisor", "nemoclaw-broker"}

// use is what processes of one name have taken: memory as proportional set size,
// in which shared pages count in parts, and time on a CPU since their start.
type use struct {
	kib int
	cpu time.Duration
}

// printMemory prints what the helpers of one idle container hold, and the CPU
// time that their start took: it runs beside libcontainer's, on another core if
// there is one.
func printMemory(r *runtime, dir string) error {
	bundle, err := makeBundle(dir, kinds[0], "/bin/sleep", "1000")
	if err != nil {
		return err
	}
	const id = "nemoclaw-bench-memory"
	before, err := useByName()
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
	after, err := useByName()
	if err != nil {
		return err
	}
	var sum use
	for _, name := range helpers {
		one := use{after[name].kib - before[name].kib, after[name].cpu - before[name].cpu}
		sum.kib, sum.cpu = sum.kib+one.kib, sum.cpu+one.cpu
		printUse(name, one)
	}
	printUse("together", sum)
	return nil
}

func printUse(name string, u use) {
	fmt.Printf("%-20s %6.1f MB PSS, %s ms of CPU to start\n", name, float64(u.kib)/1024, ms(u.cpu))
}

// useByName gives the summed use of the helpers on this machine.
func useByName() (map[string]use, error) {
	sums := map[string]use{}
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, err
	}
	for _, exe := range exes {
		target, err := os.Readlink(exe)
		if err != nil {
			continue // ended, or a kernel thread
		}
		name := strings.TrimSuffix(filepath.Base(target), " (deleted)")
		if slices.Contains(helpers[:], name) {
			proc := filepath.Dir(exe)
			sums[name] = use{sums[name].kib + pss(proc), sums[name].cpu + cpu(proc)}
		}
	}
	return sums, nil
}

// cpu sums the time of a process's threads (Documentation/scheduler/
// sched-stats.rst); those that have ended are not in it.
func cpu(proc string) time.Duration {
	var sum time.Duration
	files, _ := filepath.Glob(filepath.Join(proc, "task", "*", "schedstat"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		first, _, _ := strings.Cut(string(text), " ")
		ns, _ := strconv.ParseInt(first, 10, 64)
		sum += time.Duration(ns)
	}
	return sum
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
