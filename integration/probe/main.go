// Command probe runs inside a container under test and says, one JSON line for
// each operation, what the kernel and the network answered. It knows nothing of
// nemoclaw. Operations are separated by "--":
//
//	probe status -- tcp 198.51.100.10:80 -- write /etc/x
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"syscall"
)

// answer is one line of output.
type answer struct {
	Op   string            `json:"op"`
	OK   bool              `json:"ok"`             // the operation went through
	Err  string            `json:"err,omitempty"`  // an errno's name where there is one
	Data string            `json:"data,omitempty"` // what came back
	Map  map[string]string `json:"map,omitempty"`
}

// operation does one thing with its arguments.
type operation func(args []string, a *answer) error

func main() {
	ops := map[string]operation{}
	for _, set := range []map[string]operation{fileOps, netOps, kernelOps} {
		for name, op := range set {
			ops[name] = op
		}
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	for _, cmd := range split(os.Args[1:]) {
		a := &answer{Op: strings.Join(cmd, " ")}
		op, ok := ops[cmd[0]]
		if !ok {
			names := make([]string, 0, len(ops))
			for n := range ops {
				names = append(names, n)
			}
			sort.Strings(names)
			fmt.Fprintf(os.Stderr, "probe: unknown operation %q; there are %s\n", cmd[0], strings.Join(names, " "))
			os.Exit(2)
		}
		err := op(cmd[1:], a)
		a.OK, a.Err = err == nil, errorName(err)
		enc.Encode(a)
	}
}

// split cuts the arguments at "--".
func split(args []string) (out [][]string) {
	start := 0
	for i := 0; i <= len(args); i++ {
		if i == len(args) || args[i] == "--" {
			if i > start {
				out = append(out, args[start:i])
			}
			start = i + 1
		}
	}
	return out
}

// errorName is the errno's name, or the error's words.
func errorName(err error) string {
	var no syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.As(err, &no):
		if n := errnoName(no); n != "" {
			return n
		}
	}
	return err.Error()
}
