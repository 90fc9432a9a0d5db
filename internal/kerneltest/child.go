package kerneltest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childVariable names the function that a re-executed test binary runs.
const childVariable = "NEMOCLAW_TEST_CHILD"

// childLimit ends a child that hangs.
const childLimit = 60 * time.Second

// Children are functions that do what cannot be undone: restrict themselves,
// leave a namespace. Each runs in a process of its own, with the arguments
// that Child gave; an error it returns is printed and makes the status 1.
type Children map[string]func(args []string) error

// Main is what a package's TestMain calls: in a child it runs the function and
// exits; otherwise it runs the tests, and fails the run when a descriptor that
// was not open before is open after. It does not return.
func Main(m *testing.M, children Children) {
	if name, ok := os.LookupEnv(childVariable); ok {
		os.Unsetenv(childVariable)
		os.Exit(runChild(name, children))
	}
	// What whoever started the tests left open is none of a child's business.
	if err := unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fmt.Fprintf(os.Stderr, "marking inherited descriptors: %v\n", err)
		os.Exit(3)
	}
	before := openFiles()
	status := m.Run()
	if leaked := leakedFiles(before); status == 0 && len(leaked) > 0 {
		fmt.Fprintf(os.Stderr, "the tests left descriptors open:\n\t%s\n", strings.Join(leaked, "\n\t"))
		status = 1
	}
	os.Exit(status)
}

func runChild(name string, children Children) int {
	f := children[name]
	if f == nil {
		fmt.Fprintf(os.Stderr, "no child function %q\n", name)
		return 3
	}
	if err := f(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Result is how a child ended.
type Result struct {
	Stdout, Stderr string
	// Status is the exit status; -1 when a signal ended the child.
	Status int
	// Signal is the one that ended the child, or 0.
	Signal syscall.Signal
}

// Child makes the command that runs a child function in this test binary
// again. The caller may set namespaces, credentials and descriptors.
func Child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	return cmd
}

// Run runs a command to its end, or kills it after a minute, and says how it
// ended. It fails the test only when the command could not be started.
func Run(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %q: %v", cmd.Path, err)
	}
	limit := time.AfterFunc(childLimit, func() { cmd.Process.Kill() })
	defer limit.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("waiting for %q: %v", cmd.Path, err)
	}
	r := Result{Stdout: stdout.String(), Stderr: stderr.String(), Status: cmd.ProcessState.ExitCode()}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		r.Signal = ws.Signal()
	}
	return r
}

// MustRun runs a command and fails the test unless it exits with 0.
func MustRun(t testing.TB, cmd *exec.Cmd) Result {
	t.Helper()
	r := Run(t, cmd)
	if r.Status != 0 {
		t.Fatalf("%q: status %d, signal %v\n%s%s", cmd.Args, r.Status, r.Signal, r.Stdout, r.Stderr)
	}
	return r
}

// openFiles maps this process's descriptors to what they are.
func openFiles() map[string]string {
	files := map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return files
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !ownByRuntime(target) {
			files[e.Name()] = target
		}
	}
	return files
}

// ownByRuntime tells the descriptors that Go's runtime and test binary open
// once, whenever they like.
func ownByRuntime(target string) bool {
	return target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" ||
		strings.HasPrefix(target, "/sys/fs/cgroup/") || strings.HasPrefix(target, "/proc/")
}

func leakedFiles(before map[string]string) []string {
	var leaked []string
	for fd, target := range openFiles() {
		if before[fd] != target {
			leaked = append(leaked, fd+" -> "+target)
		}
	}
	sort.Strings(leaked)
	return leaked
}

// UserNamespace makes a command run as root of a user namespace of its own,
// with this user as its only id, and in the other namespaces of flags
// (CLONE_NEW*). The test is skipped where the machine refuses that.
func UserNamespace(t testing.TB, cmd *exec.Cmd, flags uintptr) {
	t.Helper()
	if err := tryUserNamespace(); err != nil {
		Skip(t, NoUserNamespaces, "%v", err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

func tryUserNamespace() error {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	return cmd.Run()
}
