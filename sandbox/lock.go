package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dirLockWait bounds the wait for whoever works on the same container: a
	// create that waits for its supervisor, or for a slow hook.
	dirLockWait = 30 * time.Second
	dirLockPoll = 5 * time.Millisecond
)

// Lock keeps every other runtime from making or removing the container of that
// name until unlock is called; the kernel unlocks when we are killed. An id is
// used again by engines, and two at once must not take one another's supervisor.
func (d *Dir) Lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return nil, fmt.Errorf("making the sandboxes' directory: %w", err)
	}
	name := d.path + ".lock"
	for deadline := time.Now().Add(dirLockWait); ; time.Sleep(dirLockPoll) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the lock of container %s: %w", d.ID(), err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && stillThere(f, name) {
			return func() { os.Remove(name); f.Close() }, nil
		}
		f.Close() // somebody's, or removed between open and flock
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("locking container %s: %w", d.ID(), err)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("locking container %s: another nemoclaw-runtime has been at work on it for %s", d.ID(), dirLockWait)
		}
	}
}
