package kerneltest

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Netns makes an empty network namespace, in which not even lo is up, for the
// length of the test. It needs root.
func Netns(t testing.TB) *os.File {
	t.Helper()
	Root(t)
	type made struct {
		f   *os.File
		err error
	}
	c := make(chan made)
	go func() {
		// Never unlocked: the thread ends with the goroutine, so that no other
		// goroutine finds itself in the new namespace.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			c <- made{err: fmt.Errorf("making a network namespace: %w", err)}
			return
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		c <- made{f, err}
	}()
	m := <-c
	if m.err != nil {
		t.Fatal(m.err)
	}
	t.Cleanup(func() { m.f.Close() })
	return m.f
}

// In runs f on a thread inside the network namespace. Sockets that f opens stay
// in it; goroutines that f starts do not run in it. It must not call t.Fatal.
func In(t testing.TB, netns *os.File, f func() error) {
	t.Helper()
	if err := DoIn(netns, f); err != nil {
		t.Fatal(err)
	}
}

// DoIn is In for callers that look at the error.
func DoIn(netns *os.File, f func() error) error {
	c := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			c <- fmt.Errorf("entering a network namespace: %w", err)
			return
		}
		c <- f()
	}()
	return <-c
}
