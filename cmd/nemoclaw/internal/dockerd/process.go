package dockerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DefaultPIDFile is where Docker writes its process id.
const DefaultPIDFile = "/run/docker.pid"

// ErrNotRunning says that no engine runs that could be told anything.
var ErrNotRunning = errors.New("no engine is running")

// PID returns the engine's process id by its pid file. The error is
// ErrNotRunning where there is no file, or its process is gone or another.
func PID(pidFile string) (int, error) {
	data, err := os.ReadFile(pidFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotRunning
	}
	if err != nil {
		return 0, fmt.Errorf("reading the engine's pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data[:min(len(data), 32)])))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("reading the engine's pid file %s: it holds no process id", pidFile)
	}
	// After a crash the number may be another process's, to which SIGHUP means
	// its end.
	comm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil || strings.TrimSpace(string(comm)) != "dockerd" {
		return 0, ErrNotRunning
	}
	return pid, nil
}

// Reload makes the engine read its configuration again: by systemd where that
// runs it, else by SIGHUP. It returns what was done, in words.
func Reload(ctx context.Context, pidFile string) (string, error) {
	pid, err := PID(pidFile)
	if err != nil {
		return "", err
	}
	if underSystemd(pid) {
		if systemctl, err := exec.LookPath("systemctl"); err == nil {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, systemctl, "reload", "docker.service").CombinedOutput()
			if err == nil {
				return "systemctl reload docker", nil
			}
			return "", fmt.Errorf("running systemctl reload docker: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return "", fmt.Errorf("sending SIGHUP to the engine, process %d: %w", pid, err)
	}
	return fmt.Sprintf("SIGHUP to process %d", pid), nil
}

// underSystemd reports whether systemd's docker.service is this process's home.
func underSystemd(pid int) bool {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return false
	}
	cgroup, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	return err == nil && strings.Contains(string(cgroup), "/docker.service")
}
