package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/daemonjson"
	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/dockerd"
	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// runtimeName is what follows `docker run --runtime=`.
const runtimeName = "nemoclaw"

// engineFlags are those of install docker and uninstall docker.
func engineFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "daemon-json", Value: dockerd.DefaultFile, Usage: "the engine's configuration `FILE`"},
		&cli.StringFlag{Name: "pid-file", Value: dockerd.DefaultPIDFile, Usage: "the engine's pid `FILE`, unless its configuration names one"},
		&cli.StringFlag{Name: "socket", Value: dockerd.DefaultSocket, Usage: "the engine's `SOCKET`, unless its configuration names one"},
		&cli.BoolFlag{Name: "dry-run", Usage: "show what would be written and write nothing"},
		&cli.BoolFlag{Name: "no-reload", Usage: "leave the running engine alone; it takes the change when it starts again"},
	}
}

func (p *program) installCommand() *cli.Command {
	return &cli.Command{
		Name:  "install",
		Usage: "make the runtime known to an engine",
		Subcommands: []*cli.Command{{
			Name:  "docker",
			Usage: "add the runtime to Docker's daemon.json and have the engine read it",
			Description: `Adds one entry to "runtimes" and leaves all else in the file as it is. The old
file is kept beside it. Containers that run go on. A second time, nothing changes.`,
			Flags: append(engineFlags(),
				&cli.StringFlag{Name: "runtime-path", Usage: "`PATH` of nemoclaw-runtime (default: beside this program, then on PATH)"},
				&cli.BoolFlag{Name: "default", Usage: "make it the runtime of containers that ask for none"}),
			Action: p.installDocker,
		}},
	}
}

func (p *program) uninstallCommand() *cli.Command {
	return &cli.Command{
		Name:  "uninstall",
		Usage: "take the runtime out of an engine",
		Subcommands: []*cli.Command{{
			Name:  "docker",
			Usage: "take the runtime out of Docker's daemon.json and have the engine read it",
			Description: `Containers that were made with the runtime can't be started any more; the engine
lists them as before.`,
			Flags:  engineFlags(),
			Action: p.uninstallDocker,
		}},
	}
}

func (p *program) installDocker(c *cli.Context) error {
	if err := exactly(c); err != nil {
		return err
	}
	path, err := runtimePath(c.String("runtime-path"))
	if err != nil {
		return err
	}
	entry := daemonjson.Runtime{Path: path}
	if file := c.String("config"); file != "" {
		if file, err = filepath.Abs(file); err != nil {
			return err
		}
		if _, err := config.Load(file); err != nil {
			return err
		}
		entry.Args = []string{"--config", file}
	}
	return p.changeDaemon(c, true, func(text []byte) ([]byte, error) {
		return daemonjson.Register(text, runtimeName, entry, c.Bool("default"))
	})
}

func (p *program) uninstallDocker(c *cli.Context) error {
	if err := exactly(c); err != nil {
		return err
	}
	p.warnOfSandboxes(c)
	return p.changeDaemon(c, false, func(text []byte) ([]byte, error) {
		return daemonjson.Unregister(text, runtimeName)
	})
}

// warnOfSandboxes says what becomes of those that are there. Without the right
// to look, it says nothing: this is advice.
func (p *program) warnOfSandboxes(c *cli.Context) {
	conf, err := config.Load(c.String("config"))
	if err != nil {
		return
	}
	if dirs, err := sandbox.List(conf.RunDir); err == nil && len(dirs) > 0 {
		p.err.printf("%s %s: they go on as they are, but cannot be started again\n",
			p.err.paint("note:", yellow), plural(len(dirs), "sandbox is there", "sandboxes are there"))
	}
}

// changeDaemon edits daemon.json and makes the engine read it. present says
// whether the engine shall know the runtime afterwards.
func (p *program) changeDaemon(c *cli.Context, present bool, edit func([]byte) ([]byte, error)) error {
	file, err := dockerd.ReadFile(c.String("daemon-json"))
	if err != nil {
		return asRoot(err)
	}
	text, err := edit(file.Text)
	if err != nil {
		return hint(fmt.Errorf("editing %s: %w", file.Path, err), "nothing was written; mend the file first, the engine would not start with it either")
	}
	if c.Bool("dry-run") {
		p.showChange(file, text)
		return nil
	}
	if bytes.Equal(text, file.Text) {
		p.out.printf("%s: nothing to change\n", file.Path)
	} else {
		backup, err := file.Replace(text, time.Now())
		if err != nil {
			return asRoot(err)
		}
		p.out.printf("%s: written%s\n", file.Path, keptAs(backup))
	}
	if c.Bool("no-reload") {
		p.out.printf("the engine was not told; it takes the change when it starts again\n")
		return nil
	}
	return p.reload(c, text, present)
}

func keptAs(backup string) string {
	if backup == "" {
		return ""
	}
	return "; the old file is kept as " + filepath.Base(backup)
}

// reload has the engine read its configuration, and looks whether it did.
func (p *program) reload(c *cli.Context, text []byte, present bool) error {
	pidFile, socket := engineAddresses(c, text)
	how, err := dockerd.Reload(c.Context, pidFile)
	if errors.Is(err, dockerd.ErrNotRunning) {
		p.out.printf("no engine is running (by %s); it takes the change when it starts\n", pidFile)
		return nil
	}
	if err != nil {
		return asRoot(err)
	}
	ctx, cancel := context.WithTimeout(c.Context, 5*time.Second)
	defer cancel()
	info, err := dockerd.WaitRuntime(ctx, socket, runtimeName, present)
	switch {
	case errors.Is(err, dockerd.ErrNotRunning):
		return hint(fmt.Errorf("the engine was told (%s), but nobody answers at %s", how, socket), "give its socket with --socket, or see `docker info`")
	case err != nil && info != nil:
		return hint(fmt.Errorf("the engine was told (%s), but its runtimes have not changed", how), "its log says why; a restart reads the file too")
	case err != nil:
		return err
	case !present:
		p.out.printf("the engine has read it (%s)\n", how)
		return nil
	}
	p.out.printf("the engine has read it (%s): docker run --runtime=%s IMAGE\n", how, runtimeName)
	return nil
}

// engineAddresses are the pid file and socket of the engine that reads this
// daemon.json: a flag counts most, then the file, then Docker's defaults.
func engineAddresses(c *cli.Context, text []byte) (pidFile, socket string) {
	pidFile, socket = c.String("pid-file"), c.String("socket")
	if own := daemonjson.String(text, "pidfile"); own != "" && !c.IsSet("pid-file") {
		pidFile = own
	}
	if !c.IsSet("socket") {
		for _, host := range daemonjson.Strings(text, "hosts") {
			if path, ok := strings.CutPrefix(host, "unix://"); ok {
				socket = path
				break
			}
		}
	}
	return pidFile, socket
}

// showChange prints what --dry-run would write, as lines gone and lines new.
func (p *program) showChange(file *dockerd.File, text []byte) {
	if bytes.Equal(text, file.Text) {
		p.out.printf("%s: nothing to change\n", file.Path)
		return
	}
	p.out.printf("%s: would become (nothing was written)\n", file.Path)
	for _, l := range lineDiff(string(file.Text), string(text)) {
		in := plain
		switch l[0] {
		case '+':
			in = green
		case '-':
			in = red
		}
		p.out.printf("%s\n", p.out.paint(l, in))
	}
}

// lineDiff marks the lines that two texts do not share, between the lines that
// they begin and end with alike. Our edits touch one place.
func lineDiff(before, after string) []string {
	a, b := strings.Split(strings.TrimSuffix(before, "\n"), "\n"), strings.Split(strings.TrimSuffix(after, "\n"), "\n")
	if before == "" {
		a = nil
	}
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []string
	add := func(mark string, lines []string) {
		for _, l := range lines {
			out = append(out, mark+clean(l))
		}
	}
	add("  ", a[:head])
	add("- ", a[head:len(a)-tail])
	add("+ ", b[head:len(b)-tail])
	add("  ", a[len(a)-tail:])
	return out
}

// runtimePath finds nemoclaw-runtime.
func runtimePath(given string) (string, error) {
	if given == "" {
		given = findRuntime()
	}
	if given == "" {
		return "", hint(errors.New("nemoclaw-runtime is neither beside this program nor on PATH"), "`make install`, or give it with --runtime-path")
	}
	path, err := filepath.Abs(given)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("looking for the runtime: %w", err)
	}
	if !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s is no program", path)
	}
	return path, nil
}

// findRuntime looks beside this program, then on PATH; "" if it is in neither.
func findRuntime() string {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "nemoclaw-runtime")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	found, _ := exec.LookPath("nemoclaw-runtime")
	return found
}

// asRoot adds the obvious advice to a refusal of the kernel.
func asRoot(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return hint(err, "run it as root")
	}
	return err
}
