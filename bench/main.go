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
	bundle, err := makeBundle(dir, "/bin/true")
	if err != nil {
		return err
	}
	own, err := filepath.Abs(filepath.Join(bin, "nemoclaw-runtime"))
	if err != nil {
		return err
	}
	config, err := writeConfig(dir, filepath.Dir(own))
	if err != nil {
		return err
	}
	enforced := &runtime{name: "enforced", args: []string{own, "--config", config}}
	runtimes := []*runtime{
		{name: "runc", args: []string{stock}},
		{name: "--no-policy", args: []string{own, "--no-policy"}},
		enforced,
	}
	for _, r := range runtimes {
		r.args = append(r.args, "--root", filepath.Join(dir, "state-"+r.name))
	}
	if err := measure(runtimes, bundle, dir, rounds); err != nil {
		return err
	}
	printTimes(runtimes)
	return printMemory(enforced, dir)
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

// printTimes prints a line per runtime; the first is what ratios refer to.
func printTimes(runtimes []*runtime) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "create+start+delete\tmedian ms\tbest\tcreate\tstart\tdelete\tratio of medians\tof bests\t")
	base := runtimes[0]
	for _, r := range runtimes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.2f\t%.2f\t\n", r.name,
			ms(median(r.total)), ms(slices.Min(r.total)),
			ms(median(r.create)), ms(median(r.start)), ms(median(r.delete)),
			float64(median(r.total))/float64(median(base.total)),
			float64(slices.Min(r.total))/float64(slices.Min(base.total)))
	}
	w.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }

func median(ds []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(ds))
	return sorted[len(sorted)/2]
}
