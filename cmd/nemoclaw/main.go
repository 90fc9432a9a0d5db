// Command nemoclaw is for a person's hands: it installs the runtime into an
// engine, says what this host can enforce, and shows what is enforced on each
// sandbox and what was decided.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/config"
)

// version and commit are set by the linker (-X main.version=… -X main.commit=…).
var (
	version = "0.0.0-dev"
	commit  = ""
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is the whole program: arguments in, exit status out. 0: done, and for
// doctor and verify: all is well. 1: not. 2: a question that could not be asked.
func run(args []string, stdout, stderr io.Writer) int {
	p := &program{out: newTerm(stdout), err: newTerm(stderr)}
	app := p.app()
	finish(app.Commands)
	app.Writer, app.ErrWriter = stdout, stderr
	if err := app.Run(flagsFirst(app, args)); err != nil {
		p.report(err)
		var input badInput
		if errors.As(err, &input) {
			return 2
		}
		return 1
	}
	return 0
}

// program is one invocation.
type program struct {
	out, err *term
}

// errUnwell makes the exit status 1 after a command has said everything itself.
var errUnwell = errors.New("")

func (p *program) app() *cli.App {
	return &cli.App{
		Name:  "nemoclaw",
		Usage: "put AI agents' containers under a policy, and see what is enforced",
		Description: `The runtime itself is nemoclaw-runtime, which an engine calls:

    nemoclaw install docker              once, as root
    docker run --runtime=nemoclaw IMAGE  and the container is under a policy`,
		Version:     version,
		HideVersion: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "host configuration `FILE` (default: " + config.DefaultPath + ", which may be absent)"},
			&cli.BoolFlag{Name: "no-color", Usage: "no colours, also on a terminal (as NO_COLOR=1)"},
		},
		Commands: []*cli.Command{
			p.installCommand(), p.uninstallCommand(), p.doctorCommand(),
			p.sandboxesCommand(), p.inspectCommand(), p.auditCommand(),
			p.policyCommand(),
			p.versionCommand(), p.completionCommand(),
		},
		EnableBashCompletion: true,
		Before: func(c *cli.Context) error {
			if c.Bool("no-color") {
				p.out.colour, p.err.colour = false, false
			}
			return nil
		},
		ExitErrHandler: func(*cli.Context, error) {}, // run reports
		OnUsageError:   usageError,
		Action:         group,
	}
}

// finish sets what the library does not inherit from the app.
func finish(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError, c.HideHelpCommand = usageError, true
		if len(c.Subcommands) > 0 {
			c.Action = group
			finish(c.Subcommands)
		}
	}
}

// group is the action of what only has commands below it.
func group(c *cli.Context) error {
	if c.NArg() == 0 {
		return cli.ShowSubcommandHelp(c)
	}
	name, known := clean(c.Args().First()), c.App.Commands
	if c.Command != nil && len(c.Command.Subcommands) > 0 {
		known = c.Command.Subcommands
	}
	advice := "there are:"
	for _, k := range known {
		if !k.Hidden && k.Name != "help" {
			advice += " " + k.Name
		}
	}
	return hint(fmt.Errorf("there is no command %q", name), advice)
}

// config reads the host's configuration.
func (p *program) config(c *cli.Context) (*config.Config, error) {
	conf, err := config.Load(c.String("config"))
	if errors.Is(err, os.ErrPermission) {
		return nil, hint(err, "run it as root")
	}
	return conf, err
}

func usageError(c *cli.Context, err error, _ bool) error {
	name := "nemoclaw"
	if c.Command != nil && c.Command.HelpName != "" {
		name = c.Command.HelpName
	}
	return hint(err, "`"+name+" --help` shows how it is called")
}

// exactly refuses another number of arguments than the names given.
func exactly(c *cli.Context, names ...string) error {
	if c.NArg() == len(names) {
		return nil
	}
	if c.NArg() < len(names) {
		return usageError(c, fmt.Errorf("%s is missing", names[c.NArg()]), true)
	}
	return usageError(c, fmt.Errorf("one argument too many: %q", c.Args().Get(len(names))), true)
}

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(c *cli.Context) error {
			if err := exactly(c); err != nil {
				return err
			}
			p.out.printf("nemoclaw %s\n", versionText())
			return nil
		},
	}
}

func versionText() string {
	if commit == "" {
		return version
	}
	return version + ", commit " + commit
}
