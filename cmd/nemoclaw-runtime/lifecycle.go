package main

import (
	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/runtime"
)

// oneContainer is a verb that needs a container's name and no more.
func (p *program) oneContainer(name, usage, description string, act func(id string) error) *cli.Command {
	return &cli.Command{
		Name:        name,
		Usage:       usage,
		ArgsUsage:   "<container-id>\n\nWhere \"<container-id>\" is the name for the instance of the container.",
		Description: description,
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 1); err != nil {
				return err
			}
			return act(c.Args().First())
		},
	}
}

func (p *program) startCommand() *cli.Command {
	return p.oneContainer("start", "executes the user defined process in a created container",
		"The start command executes the user defined process in a created container.", p.host.Start)
}

func (p *program) pauseCommand() *cli.Command {
	return p.oneContainer("pause", "pause suspends all processes inside the container",
		`The pause command suspends all processes in the instance of the container.

Use nemoclaw-runtime list to identify instances of containers and their current
status.`, p.host.Pause)
}

func (p *program) resumeCommand() *cli.Command {
	return p.oneContainer("resume", "resumes all processes that have been previously paused",
		`The resume command resumes all processes in the instance of the container.

Use nemoclaw-runtime list to identify instances of containers and their current
status.`, p.host.Resume)
}

func (p *program) killCommand() *cli.Command {
	return &cli.Command{
		Name:  "kill",
		Usage: "kill sends the specified signal (default: SIGTERM) to the container's init process",
		ArgsUsage: `<container-id> [signal]

Where "<container-id>" is the name for the instance of the container and
"[signal]" is the signal to be sent to the init process.

EXAMPLE:
For example, if the container id is "ubuntu01" the following will send a "KILL"
signal to the init process of the "ubuntu01" container:

       # nemoclaw-runtime kill ubuntu01 KILL`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "(obsoleted, do not use)", Hidden: true},
		},
		Action: func(c *cli.Context) error {
			if err := p.atLeast(c, 1); err != nil {
				return err
			}
			if err := p.atMost(c, 2); err != nil {
				return err
			}
			return p.host.Kill(c.Args().First(), c.Args().Get(1), c.Bool("all"))
		},
	}
}

func (p *program) deleteCommand() *cli.Command {
	return &cli.Command{
		Name:  "delete",
		Usage: "delete any resources held by the container often used with detached container",
		ArgsUsage: `<container-id>

Where "<container-id>" is the name for the instance of the container.

EXAMPLE:
For example, if the container id is "ubuntu01" and nemoclaw-runtime list
currently shows the status of "ubuntu01" as "stopped" the following will delete
resources held for "ubuntu01" removing "ubuntu01" from the list of containers:

       # nemoclaw-runtime delete ubuntu01`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Forcibly deletes the container if it is still running (uses SIGKILL)"},
		},
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 1); err != nil {
				return err
			}
			return p.host.Delete(c.Args().First(), c.Bool("force"))
		},
	}
}

func specCommand() *cli.Command {
	p := &program{}
	return &cli.Command{
		Name:  "spec",
		Usage: "create a new specification file",
		Description: `The spec command creates the new specification file named "config.json" for
the bundle.

The spec generated is just a starter file. Editing of the spec is required to
achieve desired results. For example, the newly generated spec includes an args
parameter that is initially set to call the "sh" command when the container is
started. Calling "sh" may work for an ubuntu container or busybox, but will not
work for containers that do not include the "sh" program.

Without root privilege, pass --rootless to get a specification for a rootless
container. That is not needed for the root of a user namespace.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "path to the root of the bundle directory"},
			&cli.BoolFlag{Name: "rootless", Usage: "generate a configuration for a rootless container"},
		},
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 0); err != nil {
				return err
			}
			return runtime.Spec(c.String("bundle"), c.Bool("rootless"))
		},
	}
}

// checkpointCommand and restoreCommand exist because engines look for them.
func checkpointCommand() *cli.Command {
	return unsupported("checkpoint", "checkpoint a running container (not supported)")
}

func restoreCommand() *cli.Command {
	return unsupported("restore", "restore a container from a previous checkpoint (not supported)")
}

func unsupported(name, usage string) *cli.Command {
	return &cli.Command{
		Name:            name,
		Usage:           usage,
		ArgsUsage:       "<container-id>",
		Description:     "This runtime does not support it: " + errNoCheckpoint.Error() + ".",
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			if arg := c.Args().First(); arg == "--help" || arg == "-h" {
				return cli.ShowSubcommandHelp(c)
			}
			return errNoCheckpoint
		},
	}
}
