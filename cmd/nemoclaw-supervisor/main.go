// Command nemoclaw-supervisor polices the network of one sandbox. It is started
// by nemoclaw-broker alone, with its end of a socket pair as descriptor 3; see
// package supervisor.
package main

import (
	"fmt"
	"os"

	"github.com/nemoclaw/nemoclaw/supervisor"
)

// version and commit are set by the linker (-X main.version=… -X main.commit=…).
var (
	version = "0.0.0-dev"
	commit  = ""
)

func main() {
	// `nemoclaw doctor` asks whether all programs are of one build.
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Printf("nemoclaw-supervisor %s\ncommit: %s\n", version, commit)
		return
	}
	if err := supervisor.Run(os.NewFile(3, "broker")); err != nil {
		fmt.Fprintln(os.Stderr, "nemoclaw-supervisor:", err)
		os.Exit(1)
	}
}
