package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/runtime"
)

const idUsage = `<container-id>

Where "<container-id>" is your name for the instance of the container that you
are starting. The name you provide for the container instance must be unique on
your host.`

const createDescription = `of a container for a bundle. The bundle is a
directory with a specification file named "config.json" and a root filesystem.

The specification file includes an args parameter. The args parameter is used
to specify command(s) that get run when the container is started. To change the
command(s) that get executed on start, edit the args parameter of the spec. See
"nemoclaw-runtime spec --help" for more explanation.`

func (p *program) createCommand() *cli.Command {
	return &cli.Command{
		Name:        "create",
		Usage:       "create a container",
		ArgsUsage:   idUsage,
		Description: "The create command creates an instance " + createDescription,
		Flags:       append(createFlags(), processFlags()...),
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 1); err != nil {
				return err
			}
			if err := p.host.Create(c.Args().First(), createOptions(c)); err != nil {
				return fmt.Errorf("runc create failed: %w", err)
			}
			return nil
		},
	}
}

func (p *program) runCommand() *cli.Command {
	flags := append(createFlags(),
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "detach from the container's process"},
		&cli.BoolFlag{Name: "keep", Usage: "do not delete the container after it exits"},
		&cli.BoolFlag{Name: "no-subreaper", Usage: "disable the use of the subreaper used to reap reparented processes"},
	)
	return &cli.Command{
		Name:        "run",
		Usage:       "create and run a container",
		ArgsUsage:   idUsage,
		Description: "The run command creates and starts an instance " + createDescription,
		Flags:       append(flags, processFlags()...),
		Action: func(c *cli.Context) (err error) {
			if err := p.exactly(c, 1); err != nil {
				return err
			}
			p.status, err = p.host.Run(c.Args().First(), createOptions(c))
			if err != nil {
				return fmt.Errorf("runc run failed: %w", err)
			}
			return nil
		},
	}
}

func createFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: `path to the root of the bundle directory, defaults to the current directory`},
		&cli.BoolFlag{Name: "no-pivot", Usage: "do not use pivot root to jail process inside rootfs.  This should be used whenever the rootfs is on top of a ramdisk"},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "do not create a new session keyring for the container.  This will cause the container to inherit the calling processes session key"},
	}
}

// processFlags are those of every verb that starts a process.
func processFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "console-socket", Usage: "path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console's pseudoterminal"},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "path to an AF_UNIX socket which will receive a file descriptor referencing the process"},
		&cli.StringFlag{Name: "pid-file", Usage: "specify the file to write the process id to"},
		&cli.IntFlag{Name: "preserve-fds", Usage: "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)"},
	}
}

func createOptions(c *cli.Context) runtime.CreateOptions {
	return runtime.CreateOptions{
		ProcessOptions: processOptions(c),
		Bundle:         c.String("bundle"),
		NoPivot:        c.Bool("no-pivot"),
		NoNewKeyring:   c.Bool("no-new-keyring"),
		NoSubreaper:    c.Bool("no-subreaper"),
		Keep:           c.Bool("keep"),
	}
}

func processOptions(c *cli.Context) runtime.ProcessOptions {
	return runtime.ProcessOptions{
		Detach:        c.Bool("detach"),
		ConsoleSocket: c.String("console-socket"),
		PidfdSocket:   c.String("pidfd-socket"),
		PidFile:       c.String("pid-file"),
		PreserveFDs:   c.Int("preserve-fds"),
	}
}
