package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/config"
)

func (p *program) auditCommand() *cli.Command {
	sandbox := &cli.StringFlag{Name: "sandbox", Usage: "only the sandbox `ID` (or the beginning of it), also one that is gone"}
	return &cli.Command{
		Name:  "audit",
		Usage: "read what was decided, and check that the record is whole",
		Subcommands: []*cli.Command{
			{
				Name:  "log",
				Usage: "print the record, oldest first",
				Flags: []cli.Flag{
					sandbox,
					&cli.BoolFlag{Name: "json", Usage: "print the lines as they are in the files"},
					&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on printing what is recorded"},
					&cli.BoolFlag{Name: "denied", Usage: "only what was refused"},
					&cli.DurationFlag{Name: "since", Usage: "only the last `DURATION`, as 10m"},
				},
				Action: p.auditLog,
			},
			{
				Name:      "verify",
				Usage:     "check that no record was changed, removed or put in",
				ArgsUsage: "[FILE...]",
				Description: `Without files, all logs of this host are checked. That the newest records were cut
off, a chain cannot show: compare with what you have shipped elsewhere.`,
				Flags:  []cli.Flag{sandbox},
				Action: p.auditVerify,
			},
		},
	}
}

// logFiles lists the logs of a host, by name; id narrows them to one sandbox.
func logFiles(conf *config.Config, id string) ([]string, error) {
	dir := filepath.Join(conf.LogDir, "sandboxes")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, asRoot(fmt.Errorf("listing the audit logs: %w", err))
	}
	var files []string
	for _, e := range entries {
		name, isLog := strings.CutSuffix(e.Name(), ".jsonl")
		if !isLog || !e.Type().IsRegular() {
			continue
		}
		if name == id {
			return []string{filepath.Join(dir, e.Name())}, nil
		}
		if strings.HasPrefix(name, id) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if id != "" && len(files) != 1 {
		if len(files) == 0 {
			return nil, hint(fmt.Errorf("there is no audit log of a sandbox %q", clean(id)), "the logs are in "+dir)
		}
		return nil, hint(fmt.Errorf("%q begins the ids of %d sandboxes", clean(id), len(files)), "give more of the id")
	}
	return files, nil
}

// openLog opens a log for reading; never through a symlink, never waiting on a
// pipe.
func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, asRoot(fmt.Errorf("opening the audit log: %w", err))
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("opening the audit log %s: it is not a regular file", path)
	}
	return f, nil
}

func (p *program) auditVerify(c *cli.Context) error {
	files := c.Args().Slice()
	if len(files) == 0 {
		conf, err := p.config(c)
		if err != nil {
			return err
		}
		if files, err = logFiles(conf, c.String("sandbox")); err != nil {
			return err
		}
		if len(files) == 0 {
			p.out.printf("no audit logs\n")
			return nil
		}
	}
	bad := false
	for _, path := range files {
		n, err := verifyFile(path)
		if err != nil {
			bad = true
			p.out.printf("%s %s: %s good, then %s\n", p.out.paint("BAD", red), clean(path), plural(n, "record", "records"), clean(err.Error()))
			continue
		}
		p.out.printf("%s  %s: %s\n", p.out.paint("ok", green), clean(path), plural(n, "record", "records"))
	}
	if bad {
		return errUnwell
	}
	return nil
}

func verifyFile(path string) (int, error) {
	f, err := openLog(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return audit.Verify(f)
}

func (p *program) auditLog(c *cli.Context) error {
	if err := exactly(c); err != nil {
		return err
	}
	conf, err := p.config(c)
	if err != nil {
		return err
	}
	v := &viewer{p: p, raw: c.Bool("json"), denied: c.Bool("denied")}
	if d := c.Duration("since"); d > 0 {
		v.since = time.Now().Add(-d)
	}
	id, follow := c.String("sandbox"), c.Bool("follow")
	files, err := logFiles(conf, id)
	if err != nil {
		return err
	}
	logs := newLogs()
	defer logs.close()
	for {
		if err := logs.add(files); err != nil {
			return err
		}
		if err := logs.merge(v.print); err != nil {
			return err
		}
		if !follow {
			break
		}
		select {
		case <-c.Done():
			return nil
		case <-time.After(pollInterval):
		}
		if id == "" { // new sandboxes may have come
			if files, err = logFiles(conf, ""); err != nil {
				return err
			}
		}
	}
	if logs.damaged {
		return hint(errors.New("some records are damaged"), "`nemoclaw audit verify` says which is the first")
	}
	return nil
}

// pollInterval is how often a followed log is looked at.
const pollInterval = 200 * time.Millisecond

// viewer prints records.
type viewer struct {
	p      *program
	raw    bool
	denied bool
	since  time.Time
}

// print prints one record, or what stands in its place if it is damaged.
func (v *viewer) print(r record) error {
	out := v.p.out
	if r.bad != nil {
		if !v.raw {
			out.printf("%s\n", out.paint(clean(r.bad.Error()), red))
		}
		return nil
	}
	e := r.event
	if v.denied && e.Verdict != "deny" || e.Time.Before(v.since) {
		return nil
	}
	if v.raw {
		_, err := out.w.Write(r.line)
		return err
	}
	_, err := fmt.Fprintf(out.w, "%s  %-12s  %s %-10s %s\n",
		out.paint(e.Time.Local().Format("2006-01-02 15:04:05.000"), dim), shortID(e.Sandbox),
		v.verdict(e.Verdict), clean(string(e.Kind)), v.what(e))
	return err
}

func (v *viewer) verdict(verdict string) string {
	in := plain
	switch verdict {
	case "deny", "error":
		in = red
	case "allow":
		in = green
	case "audit":
		in = yellow
	}
	return v.p.out.paint(fmt.Sprintf("%-6s", clean(verdict)), in)
}

// what says in one line what a record is about and why it came out so. A log is
// written by several processes, one without privilege: nothing in it is printed
// as it is.
func (v *viewer) what(e *audit.Event) string {
	if e.Kind == audit.KindTorn { // its other fields are for verify
		return fmt.Sprintf("(%s)", clean(e.Message))
	}
	var parts []string
	add := func(format string, s string) {
		if s != "" {
			parts = append(parts, fmt.Sprintf(format, clean(s)))
		}
	}
	add("%s", e.Method)
	add("%s", target(e))
	add("%s", e.Reason)
	add("rule %s", e.Rule)
	add("at %s", e.At)
	add("by %s", e.Binary)
	if e.BytesOut > 0 || e.BytesIn > 0 {
		parts = append(parts, fmt.Sprintf("%d bytes out, %d in", e.BytesOut, e.BytesIn))
	}
	if e.Kind == audit.KindCreate || e.Kind == audit.KindStart {
		parts = append(parts, fmt.Sprintf("Landlock ABI %d", e.ABI))
	}
	if len(e.Weaker) > 0 {
		add("weaker: %s", strings.Join(e.Weaker, "; "))
	}
	add("(%s)", e.Message)
	return strings.Join(parts, "  ")
}

// target is where something went to.
func target(e *audit.Event) string {
	host := e.Host
	if host == "" {
		host = e.Addr
	}
	if host == "" {
		return e.Path
	}
	if e.Port != 0 {
		host = fmt.Sprintf("%s:%d", host, e.Port)
	}
	return host + e.Path
}
