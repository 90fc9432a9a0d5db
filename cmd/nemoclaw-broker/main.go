// Command nemoclaw-broker starts and serves the supervisor of one sandbox. It is
// started by nemoclaw-runtime alone, with its end of a socket pair as descriptor
// 3; see package broker.
package main

import (
	"fmt"
	"os"

	"github.com/nemoclaw/nemoclaw/broker"
)

// version and commit are set by the linker (-X main.version=… -X main.commit=…).
var (
	version = "0.0.0-dev"
	commit  = ""
)

func main() {
	// `nemoclaw doctor` asks whether all programs are of one build.
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Printf("nemoclaw-broker %s\ncommit: %s\n", version, commit)
		return
	}
	if err := broker.Run(os.NewFile(3, "runtime")); err != nil {
		fmt.Fprintln(os.Stderr, "nemoclaw-broker:", err)
		os.Exit(1)
	}
}
