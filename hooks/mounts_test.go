package hooks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
	"github.com/nemoclaw/nemoclaw/plan"
)

// inOwnRoot starts a process that stands for a container: a mount namespace of
// its own whose root is dir. It gives its pid.
func inOwnRoot(t *testing.T, dir string) int {
	t.Helper()
	kerneltest.Root(t)
	cmd := kerneltest.Child(t, "own-root", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	if _, err := stdout.Read(make([]byte, 8)); err != nil {
		t.Fatalf("waiting for the namespace: %v", err)
	}
	return cmd.Process.Pid
}

// ownRoot is the child: it makes args[0] its root and waits for its input to end.
func ownRoot(args []string) error {
	dir := args[0]
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(dir, dir, "", unix.MS_BIND, ""),
		unix.Chdir(dir),
		unix.PivotRoot(".", "."),
		unix.Unmount(".", unix.MNT_DETACH),
	)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestMain(m *testing.M) {
	kerneltest.Main(m, kerneltest.Children{"own-root": ownRoot})
}

// mountPlan makes the mounts of a plan.
func mountPlan(pid int, p *plan.Plan) (missing []string, err error) {
	err = inMountNamespace(pid, func(root *rootDir) error {
		var places []place
		if places, missing, err = locate(root, p.Filesystem.Rules); err != nil {
			return err
		}
		return mountBoundaries(root, places, p.Filesystem.ReadOnlyRoot)
	})
	return missing, err
}

// TestRootIsReadOnly asks the kernel what can be changed where, metadata too.
func TestRootIsReadOnly(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"etc", "work/ro", "work/deep", "tmp", "host"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "etc/passwd"), "x")
	write(t, filepath.Join(dir, "work/ro/key"), "x")
	if err := os.Symlink("/etc", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	pid := inOwnRoot(t, dir)
	p := &plan.Plan{Filesystem: plan.Filesystem{
		ReadOnlyRoot: true,
		Rules: []plan.PathRule{
			{Path: "/gone", Access: plan.ReadWrite, Optional: true},
			{Path: "/tmp", Access: plan.ReadWrite},
			{Path: "/work", Access: plan.ReadWrite},
			{Path: "/work/deep", Access: plan.ReadWrite},
			{Path: "/work/ro", Access: plan.ReadOnly, From: plan.Source{At: "p:1"}},
			{Path: "/work/absent", Access: plan.ReadOnly, Optional: true, From: plan.Source{At: "p:2"}},
		},
	}}
	missing, err := mountPlan(pid, p)
	if err != nil || strings.Join(missing, " ") != "/work/absent: not in the container, rule skipped" {
		t.Fatalf("missing %v, %v", missing, err)
	}
	err = inMountNamespace(pid, func(root *rootDir) error {
		for path, want := range map[string]error{
			"/etc": unix.EROFS, "/etc/passwd": unix.EROFS, "/host": unix.EROFS, "/": unix.EROFS,
			"/work/ro": unix.EROFS, "/work/ro/key": unix.EROFS,
			"/work": nil, "/tmp": nil, "/work/deep": nil,
		} {
			if err := unix.Chmod(path, 0o700); !errors.Is(err, want) {
				t.Errorf("chmod %s: %v, want %v", path, err, want)
			}
			if err := unix.Utimes(path, []unix.Timeval{{}, {}}); !errors.Is(err, want) {
				t.Errorf("utimes %s: %v, want %v", path, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A writable path that leads to the root would open everything.
func TestWritableLinkToRoot(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, "work")); err != nil {
		t.Fatal(err)
	}
	pid := inOwnRoot(t, dir)
	p := &plan.Plan{Filesystem: plan.Filesystem{ReadOnlyRoot: true, Rules: []plan.PathRule{{Path: "/work", Access: plan.ReadWrite}}}}
	if _, err := mountPlan(pid, p); err != nil {
		t.Fatal(err)
	}
	err := inMountNamespace(pid, func(*rootDir) error { return syscall.Chmod("/etc", 0o700) })
	if !errors.Is(err, unix.EROFS) {
		t.Fatalf("chmod below the root: %v, want EROFS", err)
	}
}
