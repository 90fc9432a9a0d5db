package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/runtime"
)

// errFormat answers a --format that is neither table nor json.
var errFormat = errors.New("invalid format option")

func formatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "select one of: table or json"}
}

func (p *program) stateCommand() *cli.Command {
	return p.oneContainer("state", "output the state of a container",
		"The state command outputs current state information for the\ninstance of a container.",
		func(id string) error {
			state, err := p.host.State(id)
			if err != nil {
				return err
			}
			return printIndented(os.Stdout, state, "  ")
		})
}

func printIndented(w io.Writer, v any, indent string) error {
	data, err := json.MarshalIndent(v, "", indent)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", data)
	return err
}

func (p *program) listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "lists containers started by nemoclaw-runtime with the given root",
		ArgsUsage: "\n\nWhere the given root is specified via the global option \"--root\".",
		Flags: []cli.Flag{
			formatFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "display only container IDs"},
		},
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 0); err != nil {
				return err
			}
			states, err := p.host.List(os.Stderr)
			if err != nil {
				return err
			}
			return printList(os.Stdout, states, c.String("format"), c.Bool("quiet"))
		},
	}
}

func printList(w io.Writer, states []runtime.State, format string, quiet bool) error {
	switch {
	case quiet:
		for i := range states {
			fmt.Fprintln(w, states[i].ID)
		}
		return nil
	case format == "json":
		return json.NewEncoder(w).Encode(states)
	case format != "table":
		return errFormat
	}
	table := tabwriter.NewWriter(w, 12, 1, 3, ' ', 0)
	fmt.Fprint(table, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for i := range states {
		s := &states[i]
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.PID, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return table.Flush()
}

func (p *program) psCommand() *cli.Command {
	return &cli.Command{
		Name:      "ps",
		Usage:     "ps displays the processes running inside a container",
		ArgsUsage: "<container-id> [ps options]",
		Flags:     []cli.Flag{formatFlag()},
		Action: func(c *cli.Context) error {
			if err := p.atLeast(c, 1); err != nil {
				return err
			}
			id, args := c.Args().First(), c.Args().Tail()
			switch c.String("format") {
			case "table":
				return p.host.PS(id, args, os.Stdout)
			case "json":
				pids, err := p.host.Processes(id)
				if err != nil {
					return err
				}
				return json.NewEncoder(os.Stdout).Encode(pids)
			}
			return errFormat
		},
	}
}

func (p *program) eventsCommand() *cli.Command {
	return &cli.Command{
		Name:      "events",
		Usage:     "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
		ArgsUsage: "<container-id>\n\nWhere \"<container-id>\" is the name for the instance of the container.",
		Description: `The events command displays information about the container. By default the
information is displayed once every 5 seconds.`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "set the stats collection interval"},
			&cli.BoolFlag{Name: "stats", Usage: "display the container's stats then exit"},
		},
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 1); err != nil {
				return err
			}
			if c.Bool("stats") {
				return p.host.Stats(c.Args().First(), os.Stdout)
			}
			return p.host.Events(c.Args().First(), c.Duration("interval"), os.Stdout)
		},
	}
}

func featuresCommand() *cli.Command {
	p := &program{}
	return &cli.Command{
		Name:  "features",
		Usage: "show the enabled features",
		Description: `Show the enabled features.
   The result is parsable as a JSON.
   See https://github.com/opencontainers/runtime-spec/blob/main/features.md for the type definition.`,
		Action: func(c *cli.Context) error {
			if err := p.exactly(c, 0); err != nil {
				return err
			}
			return printIndented(os.Stdout, runtime.Features(commit), "    ")
		},
	}
}
