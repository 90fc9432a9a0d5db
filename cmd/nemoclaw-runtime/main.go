// Command nemoclaw-runtime is the OCI runtime: flags in, one call down into
// package runtime.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/runtime"
)

// version and commit are set by the linker (-X main.version=… -X main.commit=…).
var (
	version = "0.0.0-dev"
	commit  = ""
)

// init makes this process the init of a container when libcontainer has started
// it as one. It is the only init function in the project: the namespaces are
// already the container's, so this must not wait for main.
func init() { runtime.ReexecInit() }

func main() {
	p := &program{host: &runtime.Host{}, name: os.Args[0]}
	app := p.app()
	if err := app.Run(flagsFirst(app, os.Args)); err != nil {
		report(err)
		os.Exit(max(p.status, 1))
	}
	os.Exit(p.status)
}

// program is one invocation.
type program struct {
	name   string // as we were called, for usage errors
	host   *runtime.Host
	status int // to exit with
}

const description = `An OCI runtime that puts a container under a policy: what it may read, write
and reach. It is called by container engines, and by hand as runc is:

    # nemoclaw-runtime run [ -b bundle ] <container-id>

The bundle is a directory with a specification file named "config.json" and a
root filesystem; the default is the current directory. The policy comes from
the annotation io.nemoclaw.policy, the image, or the host's configuration.`

func (p *program) app() *cli.App {
	cli.VersionPrinter = printVersion
	app := &cli.App{
		Name:        filepath.Base(os.Args[0]),
		Usage:       "Open Container Initiative runtime, with a policy around each container",
		Description: description,
		Version:     version,
		Flags:       globalFlags(),
		Before:      p.before,
		Commands: []*cli.Command{
			checkpointCommand(), p.createCommand(), p.deleteCommand(), p.eventsCommand(),
			p.execCommand(), featuresCommand(), p.killCommand(), p.listCommand(),
			p.pauseCommand(), p.psCommand(), restoreCommand(), p.resumeCommand(),
			p.runCommand(), specCommand(), p.startCommand(), p.stateCommand(), p.updateCommand(),
		},
		// `exec --env A=b,c` is one variable.
		DisableSliceFlagSeparator: true,
		// A container named "h" or "help" is no request for help.
		HideHelpCommand: true,
		// Errors are reported by main, to the log too.
		ExitErrHandler: func(*cli.Context, error) {},
	}
	for _, c := range app.Commands {
		c.HideHelpCommand = true
	}
	return app
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "debug", Usage: "enable debug logging"},
		&cli.StringFlag{Name: "log", Usage: "set the `FILE` to write logs to (default is '/dev/stderr')"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "set the log format ('text' (default), or 'json')"},
		&cli.StringFlag{Name: "root", Value: runtime.DefaultRoot, Usage: "root directory for storage of container state (this should be located in tmpfs)"},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "enable systemd cgroup support, expects cgroupsPath to be of form \"slice:prefix:name\" for e.g. \"system.slice:runc:434234\""},
		&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "ignore cgroup permission errors ('true', 'false', or 'auto')"},
		&cli.StringFlag{Name: "config", Usage: "host configuration `FILE` (default is /etc/nemoclaw/config.yaml)"},
		&cli.BoolFlag{Name: "no-policy", Usage: "enforce nothing: plain runc, for conformance and timing only"},
		// Engines of some years ago still pass it.
		&cli.StringFlag{Name: "criu", Hidden: true, Usage: "(obsoleted; do not use)"},
	}
}

// before turns the global flags into the host that all verbs act on.
func (p *program) before(c *cli.Context) error {
	if err := p.setRoot(c); err != nil {
		return err
	}
	rootless, err := runtime.ParseBoolOrAuto(c.String("rootless"))
	if err != nil {
		return err
	}
	p.host.RootlessCgroups = rootless
	p.host.SystemdCgroup = c.Bool("systemd-cgroup")
	if !c.Bool("no-policy") {
		p.host.Enforcement = &runtime.Enforcement{ConfigFile: c.String("config")}
	}
	return setLog(c.Bool("debug"), c.String("log-format"), c.String("log"))
}

func (p *program) setRoot(c *cli.Context) (err error) {
	p.host.RootGiven = c.IsSet("root")
	if p.host.RootGiven {
		p.host.Root, err = runtime.CleanRoot(c.String("root"))
		return err
	}
	if p.host.Root = runtime.UserRoot(); p.host.Root != "" {
		return runtime.MakeUserRoot(p.host.Root)
	}
	p.host.Root = runtime.DefaultRoot
	return nil
}

// exactly refuses another number of arguments, and shows how the verb is used.
func (p *program) exactly(c *cli.Context, n int) error {
	if c.NArg() == n {
		return nil
	}
	return p.usage(c, fmt.Sprintf("requires exactly %d argument(s)", n))
}

func (p *program) atLeast(c *cli.Context, n int) error {
	if c.NArg() >= n {
		return nil
	}
	return p.usage(c, fmt.Sprintf("requires a minimum of %d argument(s)", n))
}

func (p *program) atMost(c *cli.Context, n int) error {
	if c.NArg() <= n {
		return nil
	}
	return p.usage(c, fmt.Sprintf("requires a maximum of %d argument(s)", n))
}

func (p *program) usage(c *cli.Context, what string) error {
	fmt.Fprint(c.App.Writer, "Incorrect Usage.\n\n")
	_ = cli.ShowSubcommandHelp(c)
	return fmt.Errorf("%s: %q %s", p.name, c.Command.Name, what)
}

// report writes an error to the log, and to a person if the log is a file.
// Engines show their users the last error in the log.
func report(err error) {
	logrus.Error(err)
	if logrus.StandardLogger().Out != os.Stderr {
		fmt.Fprintln(os.Stderr, err)
	}
}

func printVersion(c *cli.Context) {
	w := c.App.Writer
	fmt.Fprintf(w, "nemoclaw-runtime %s, runc version %s\n", c.App.Version, runtime.RuncVersion)
	if commit != "" {
		fmt.Fprintln(w, "commit:", commit)
	}
	fmt.Fprintln(w, "spec:", specs.Version)
	fmt.Fprintln(w, "go:", goruntime.Version())
	if v := runtime.SeccompVersion(); v != "" {
		fmt.Fprintln(w, "libseccomp:", v)
	}
}

// errNoCheckpoint answers checkpoint and restore. CRIU would bring an agent back
// without our stub in front of it, so under nobody's rules.
var errNoCheckpoint = errors.New("checkpoint and restore are not supported: a restored process would be under no policy")
