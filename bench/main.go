// Command bench measures what a policy costs: create, start and delete of
// /bin/true under our runtime, enforced and with --no-policy, and under runc, in
// turns in one run; and the memory of the processes beside a container. It
// prints ratios to the runc of the same version. It needs root and bin/.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 40, "how often each runtime makes a container")
	stock := flag.String("runc", "", "the runc to compare with, of the version that libcontainer is")
	bin := flag.String("bin", "bin", "directory of our binaries")
	docker := flag.Int("docker", 10, "how often each runtime runs a container in a private engine; 0: no engine")
	flag.Parse()
	err := bench(*rounds, *stock, *bin)
	if err == nil && *docker > 0 {
		err = firstOutput(*docker)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(rounds int, stock, bin string) error {
	dir, err := os.MkdirTemp("", "nemoclaw-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	own, err := filepath.Abs(filepath.Join(bin, "nemoclaw-runtime"))
	if err != nil {
		return err
	}
	config, err := writeConfig(dir, filepath.Dir(own))
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		bundle, err := makeBundle(dir, kind, "/bin/true")
		if err != nil {
			return err
		}
		runtimes := runtimesOf(dir, stock, own, config)
		if err := measure(runtimes, bundle, dir, rounds); err != nil {
			return err
		}
		printTimes(kind, runtimes)
	}
	return printMemory(enforced(dir, own, config), dir)
}

// runtimesOf gives what is compared; the first is what ratios refer to.
func runtimesOf(dir, stock, own, config string) []*runtime {
	return []*runtime{
		{name: "runc", args: []string{stock, "--root", filepath.Join(dir, "state-runc")}},
		{name: "--no-policy", args: []string{own, "--no-policy", "--root", filepath.Join(dir, "state-free")}},
		enforced(dir, own, config),
	}
}

func enforced(dir, own, config string) *runtime {
	return &runtime{name: "enforced", args: []string{own, "--config", config, "--root", filepath.Join(dir, "state-enforced")}}
}

// measure lets the runtimes take turns, so that what else the machine does
// falls on all of them. The first round warms caches and does not count.
func measure(runtimes []*runtime, bundle, dir string, rounds int) error {
	for round := range rounds + 1 {
		for _, r := range runtimes {
			times, err := r.once(bundle, dir)
			if err != nil {
				return err
			}
			if round > 0 {
				r.add(times)
			}
		}
	}
	return nil
}

// printTimes prints a line per runtime.
func printTimes(kind bundleKind, runtimes []*runtime) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Printf("create, start and delete of /bin/true, %s\n", kind.what)
	fmt.Fprintln(w, "\tmedian ms\tbest\tcreate\tstart\tdelete\tratio of medians\tof bests\t")
	base := runtimes[0]
	for _, r := range runtimes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t\n", r.name,
			ms(median(r.total)), ms(slices.Min(r.total)),
			ms(median(r.create)), ms(median(r.start)), ms(median(r.delete)),
			float64(median(r.total))/float64(median(base.total)),
			float64(slices.Min(r.total))/float64(slices.Min(base.total)))
	}
	w.Flush()
	fmt.Println()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }

func median(ds []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(ds))
	return sorted[len(sorted)/2]
}
