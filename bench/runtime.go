package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// runtime is one OCI runtime with its global flags, and what was measured of it.
type runtime struct {
	name                         string
	args                         []string
	create, start, delete, total []time.Duration
}

// times is how long the three verbs of one container took.
type times struct{ create, start, delete time.Duration }

func (r *runtime) add(t times) {
	r.create = append(r.create, t.create)
	r.start = append(r.start, t.start)
	r.delete = append(r.delete, t.delete)
	r.total = append(r.total, t.create+t.start+t.delete)
}

// once makes a container, starts it, waits for its end, which does not count,
// and deletes it.
func (r *runtime) once(bundle, dir string) (t times, err error) {
	pidFile := filepath.Join(dir, "pid")
	const id = "nemoclaw-bench"
	if t.create, err = r.verb("create", "--bundle", bundle, "--pid-file", pidFile, id); err != nil {
		return t, err
	}
	if t.start, err = r.verb("start", id); err == nil {
		err = waitFor(pidFile)
	}
	if err != nil {
		_, _ = r.verb("delete", "--force", id)
		return t, err
	}
	t.delete, err = r.verb("delete", id)
	return t, err
}

// verb runs one verb and says how long it took.
func (r *runtime) verb(args ...string) (time.Duration, error) {
	cmd := exec.Command(r.args[0], append(r.args[1:len(r.args):len(r.args)], args...)...)
	var stderr bytes.Buffer
	// A file, not a pipe: a pipe would stay open as long as the container.
	out, err := os.CreateTemp("", "nemoclaw-bench-stderr")
	if err != nil {
		return 0, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stderr = out
	began := time.Now()
	err = cmd.Run()
	took := time.Since(began)
	if err != nil {
		_, _ = out.Seek(0, 0)
		_, _ = stderr.ReadFrom(out)
		return took, fmt.Errorf("%s: %s: %w: %s", r.name, strings.Join(args, " "), err, stderr.String())
	}
	return took, nil
}

// waitFor waits for the end of the process whose pid is in the file.
func waitFor(pidFile string) error {
	pid, err := readPID(pidFile)
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for {
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		if err != unix.EINTR {
			return err
		}
	}
}

func readPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// writeConfig gives our runtime directories of its own.
func writeConfig(dir, bin string) (string, error) {
	path := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf("run_dir: %s/run\nstate_dir: %s/lib\nlog_dir: %s/log\nlibexec_dir: %s\n", dir, dir, dir, bin)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
