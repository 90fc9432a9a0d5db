package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// keepsOrder are the verbs whose arguments end with a command of its own flags.
func keepsOrder(verb string) bool { return verb == "exec" || verb == "ps" }

// flagsFirst moves a verb's flags before its arguments: runc accepts
// `delete ID --force`, and its users write it; our parser stops at the ID.
func flagsFirst(app *cli.App, args []string) []string {
	at := verbIndex(app.Flags, args)
	if at < 0 || keepsOrder(args[at]) {
		return args
	}
	verb := app.Command(args[at])
	if verb == nil {
		return args
	}
	flags, rest := splitFlags(verb.Flags, args[at+1:])
	return slices.Concat(args[:at+1], flags, rest)
}

// verbIndex finds the first argument that is neither a global flag nor the value
// of one; -1 if there is none.
func verbIndex(flags []cli.Flag, args []string) int {
	for i := 1; i < len(args); i++ {
		known, takesValue := lookUp(flags, args[i])
		switch {
		case !known && strings.HasPrefix(args[i], "-"):
			return -1
		case !known:
			return i
		case takesValue:
			i++
		}
	}
	return -1
}

// splitFlags parts known flags, with their values, from everything else. All
// after "--" is everything else.
func splitFlags(known []cli.Flag, args []string) (flags, rest []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return flags, append(rest, args[i:]...)
		}
		isFlag, takesValue := lookUp(known, args[i])
		if !isFlag {
			rest = append(rest, args[i])
			continue
		}
		flags = append(flags, args[i])
		if takesValue && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	return flags, rest
}

// lookUp tells whether arg is one of the flags, and whether its value is the
// next argument.
func lookUp(flags []cli.Flag, arg string) (known, takesValue bool) {
	name, _, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
	if !strings.HasPrefix(arg, "-") || name == "" {
		return false, false
	}
	if name == "help" || name == "h" || name == "version" || name == "v" {
		return true, false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return true, !isBool && !hasValue
		}
	}
	return false, false
}
