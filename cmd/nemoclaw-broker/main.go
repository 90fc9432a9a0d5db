// Command nemoclaw-broker starts and serves the supervisor of one sandbox. It is
// started by nemoclaw-runtime alone, with its end of a socket pair as descriptor
// 3; see package broker.
package main

import (
	"fmt"
	"os"

	"github.com/nemoclaw/nemoclaw/broker"
)

func main() {
	if err := broker.Run(os.NewFile(3, "runtime")); err != nil {
		fmt.Fprintln(os.Stderr, "nemoclaw-broker:", err)
		os.Exit(1)
	}
}
