// Package compile turns the filters of package seccomp into programs: arrays of
// struct sock_filter (linux/filter.h) in the machine's byte order.
package compile

import "errors"

// Agent returns the program that nemoclaw-init loads before the agent's.
func Agent() ([]byte, error) { return nil, errors.ErrUnsupported }

// Supervisor returns nemoclaw-supervisor's own program.
func Supervisor() ([]byte, error) { return nil, errors.ErrUnsupported }

// Broker returns nemoclaw-broker's own program.
func Broker() ([]byte, error) { return nil, errors.ErrUnsupported }

// Digest names the agent's program as "sha256:HEX", for the plan and the audit.
func Digest(prog []byte) string { return "" }
