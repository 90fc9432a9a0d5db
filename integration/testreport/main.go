// Command testreport reads the output of `go test -json` on standard input and
// prints what a person wants to know of it: one line for each package, the
// whole output of what failed, every skip with its reason, and a count. Its
// exit status is 1 when anything failed, or when nothing ran at all.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
	FailedBuild                               string
}

// report is what has been read so far. The zero value is not ready: use newReport.
type report struct {
	output               map[string][]string // of each test that has not ended, keyed package + "\x00" + test
	build                map[string][]string // of each package that is being built
	skips                []string
	failures             []string
	passed, failed, skip int
	packages             int
}

func newReport() *report {
	return &report{output: map[string][]string{}, build: map[string][]string{}}
}

func main() {
	r := newReport()
	if err := r.read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.finish(os.Stdout) {
		os.Exit(1)
	}
}

// read takes events until the end of in. A line that is no event is printed as
// it is: a compiler's message comes that way from older tools.
func (r *report) read(in io.Reader, out io.Writer) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), 16<<20)
	for s.Scan() {
		var e event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			fmt.Fprintln(out, s.Text())
			continue
		}
		r.take(e, out)
	}
	return s.Err()
}

func (r *report) take(e event, out io.Writer) {
	key := e.Package + "\x00" + e.Test
	switch e.Action {
	case "build-output":
		r.build[e.ImportPath] = append(r.build[e.ImportPath], e.Output)
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, r.output[key], out)
		} else {
			r.endTest(e, r.output[key], out)
		}
		delete(r.output, key)
	}
}

func (r *report) endTest(e event, output []string, out io.Writer) {
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skip++
		r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", short(e.Package), e.Test, reason(output)))
	case "fail":
		r.failed++
		r.failures = append(r.failures, short(e.Package)+" "+e.Test)
		fmt.Fprintf(out, "--- FAIL: %s %s (%.1f s)\n%s", short(e.Package), e.Test, e.Elapsed, strings.Join(output, ""))
	}
}

func (r *report) endPackage(e event, output []string, out io.Writer) {
	switch e.Action {
	case "skip": // no test files
		return
	case "fail":
		r.failures = append(r.failures, short(e.Package))
		fmt.Fprint(out, strings.Join(r.build[e.FailedBuild], ""), strings.Join(output, ""))
		// A test that was running when the process died never ended: show what it said.
		for key, lines := range r.output {
			if pkg, test, _ := strings.Cut(key, "\x00"); pkg == e.Package && test != "" {
				fmt.Fprintf(out, "--- NEVER ENDED: %s %s\n%s", short(pkg), test, strings.Join(lines, ""))
				delete(r.output, key)
			}
		}
	}
	r.packages++
	fmt.Fprintf(out, "%-4s %-40s %6.1f s\n", e.Action, short(e.Package), e.Elapsed)
}

// finish prints skips and the count, and says whether all is well.
func (r *report) finish(out io.Writer) bool {
	sort.Strings(r.skips)
	fmt.Fprintf(out, "\nskipped (%d):\n", len(r.skips))
	for _, s := range r.skips {
		fmt.Fprintln(out, "  "+s)
	}
	if len(r.failures) > 0 {
		fmt.Fprintf(out, "\nfailed (%d):\n  %s\n", len(r.failures), strings.Join(r.failures, "\n  "))
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped, in %d packages\n", r.passed, r.failed, r.skip, r.packages)
	return len(r.failures) == 0 && r.passed > 0
}

// reason is the last thing a skipped test said, without file and line.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		line := strings.TrimSpace(output[i])
		if line == "" || strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, "=== ") {
			continue
		}
		if _, rest, ok := strings.Cut(line, ".go:"); ok {
			if _, why, ok := strings.Cut(rest, ": "); ok {
				return why
			}
		}
		return line
	}
	return "no reason given"
}

// short is a package's path inside the module.
func short(pkg string) string {
	if rest, ok := strings.CutPrefix(pkg, "github.com/nemoclaw/nemoclaw/"); ok {
		return rest
	}
	return pkg
}
