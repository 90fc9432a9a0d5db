package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/runtime"
)

// execFailed is the exit status of an exec that did not come to run its
// program, which may use every other one.
const execFailed = 255

func (p *program) execCommand() *cli.Command {
	return &cli.Command{
		Name:  "exec",
		Usage: "execute new process inside the container",
		ArgsUsage: `<container-id> <command> [command options]  || -p process.json <container-id>

Where "<container-id>" is the name for the instance of the container and
"<command>" is the command to be executed in the container.
"<command>" can't be empty unless a "-p" flag provided.

EXAMPLE:
For example, if the container is configured to run the linux ps command the
following will output a list of processes running in the container:

       # nemoclaw-runtime exec <container-id> ps`,
		Flags: append(execFlags(), processFlags()...),
		Action: func(c *cli.Context) (err error) {
			if err := p.atLeast(c, 1); err != nil {
				return err
			}
			p.status, err = p.host.Exec(c.Args().First(), execOptions(c))
			if err != nil {
				p.status = execFailed
				return fmt.Errorf("exec failed: %w", err)
			}
			return nil
		},
	}
}

func execFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cwd", Usage: "current working directory in the container"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set environment variables"},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "allocate a pseudo-TTY"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "UID (format: <uid>[:<gid>])"},
		&cli.Int64SliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "additional gids"},
		&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "path to the process.json"},
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "detach from the container's process"},
		&cli.StringFlag{Name: "process-label", Usage: "set the asm process label for the process commonly used with selinux"},
		&cli.StringFlag{Name: "apparmor", Usage: "set the apparmor profile for the process"},
		&cli.BoolFlag{Name: "no-new-privs", Usage: "set the no new privileges value for the process"},
		&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add a capability to the bounding set for the process"},
		&cli.StringSliceFlag{Name: "cgroup", Usage: "run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>."},
		&cli.BoolFlag{Name: "ignore-paused", Usage: "allow exec in a paused container"},
	}
}

func execOptions(c *cli.Context) runtime.ExecOptions {
	o := runtime.ExecOptions{
		ProcessOptions: processOptions(c),
		ProcessFile:    c.String("process"),
		Args:           c.Args().Tail(),
		Cwd:            c.String("cwd"),
		AppArmor:       c.String("apparmor"),
		Label:          c.String("process-label"),
		User:           c.String("user"),
		Env:            c.StringSlice("env"),
		Capabilities:   c.StringSlice("cap"),
		Groups:         c.Int64Slice("additional-gids"),
		Terminal:       c.Bool("tty"),
		Cgroups:        c.StringSlice("cgroup"),
		IgnorePaused:   c.Bool("ignore-paused"),
	}
	if c.IsSet("no-new-privs") {
		value := c.Bool("no-new-privs")
		o.NoNewPrivs = &value
	}
	return o
}
