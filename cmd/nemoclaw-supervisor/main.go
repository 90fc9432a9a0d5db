// Command nemoclaw-supervisor polices the network of one sandbox. It is started
// by nemoclaw-broker alone, with its end of a socket pair as descriptor 3; see
// package supervisor.
package main

import (
	"fmt"
	"os"

	"github.com/nemoclaw/nemoclaw/supervisor"
)

func main() {
	if err := supervisor.Run(os.NewFile(3, "broker")); err != nil {
		fmt.Fprintln(os.Stderr, "nemoclaw-supervisor:", err)
		os.Exit(1)
	}
}
