package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves the flags of a command before its other arguments, because
// the library ends flags at the first of those: `inspect ID --json` is what
// people write. What follows -- stays where it is.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	flags, commands := app.Flags, app.Commands
	at := 1
	for at < len(args) {
		if n := flagWidth(flags, args[at]); n > 0 {
			at += n
			continue
		}
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[at]) })
		if i < 0 {
			break
		}
		flags, commands = commands[i].Flags, commands[i].Subcommands
		at++
	}
	at = min(at, len(args))
	var moved, others []string
	for rest := args[at:]; len(rest) > 0; {
		if rest[0] == "--" {
			others = append(others, rest...)
			break
		}
		n := min(max(flagWidth(flags, rest[0]), 1), len(rest))
		if strings.HasPrefix(rest[0], "-") && rest[0] != "-" {
			moved = append(moved, rest[:n]...)
		} else {
			others = append(others, rest[:n]...)
		}
		rest = rest[n:]
	}
	return slices.Concat(args[:at], moved, others)
}

// flagWidth is how many arguments a flag takes, itself included: 0 when arg is
// no flag, 2 when its value follows.
func flagWidth(flags []cli.Flag, arg string) int {
	if !strings.HasPrefix(arg, "-") || arg == "-" || arg == "--" {
		return 0
	}
	name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if hasValue {
		return 1
	}
	for _, f := range flags {
		_, isBool := f.(*cli.BoolFlag)
		if slices.Contains(f.Names(), name) && !isBool {
			return 2
		}
	}
	return 1
}
