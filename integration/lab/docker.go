package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Result is what a command has left: both outputs and its exit status.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// commandLimit is how long one client command may take before it is ended.
const commandLimit = 90 * time.Second

// Docker runs the client and returns its standard output; a status other than
// 0 is an error with everything it said.
func (e *Engine) Docker(args ...string) (string, error) {
	r, err := e.Try(args...)
	if err != nil {
		return r.Stdout, err
	}
	if r.Code != 0 {
		return r.Stdout, fmt.Errorf("docker %s: exit status %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout, nil
}

// Try runs the client and returns what came of it. The error is only for a
// client that could not run or did not end.
func (e *Engine) Try(args ...string) (Result, error) { return e.TryInput("", args...) }

// TryInput is Try with a standard input.
func (e *Engine) TryInput(stdin string, args ...string) (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.cli, append([]string{"-H", "unix://" + e.Sock()}, args...)...)
	cmd.Env = []string{"HOME=" + e.Dir, "PATH=/usr/bin:/bin", "DOCKER_CONFIG=" + e.Dir}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errw
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errw.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("docker %s: not done after %s\n%s%s", strings.Join(args, " "), commandLimit, r.Stdout, r.Stderr)
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
		return r, nil
	}
	return r, err
}

// Run runs a container of the nemoclaw runtime, removed at its end.
func (e *Engine) Run(args ...string) (Result, error) {
	return e.Try(append([]string{"run", "--rm", "--runtime", "nemoclaw"}, args...)...)
}

// RunRunc is Run with stock runc of our version: what to compare with.
func (e *Engine) RunRunc(args ...string) (Result, error) {
	return e.Try(append([]string{"run", "--rm", "--runtime", "reference"}, args...)...)
}

// Nemoclaw runs one of the nemoclaw programs in the engine's namespaces with
// the engine's configuration.
func (e *Engine) Nemoclaw(args ...string) (Result, error) {
	cmd := e.World.Command(e.Bin+"/nemoclaw", append([]string{"--config", e.Config}, args...)...)
	var out, errw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errw
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errw.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Code = exit.ExitCode()
		return r, nil
	}
	return r, err
}
