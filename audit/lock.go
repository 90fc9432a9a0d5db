package audit

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait bounds how long a record waits for the other writers. A writer that
// holds the lock longer is stuck or hostile; the caller then has no record and
// must refuse.
const lockWait = 2 * time.Second

// ErrLocked says that another process has held the log's lock for too long.
var ErrLocked = errors.New("another process holds the audit log's lock")

// lock keeps other writers out until the returned function is called.
//
// Two locks are taken, because neither is enough. A flock(2) belongs to the open
// file description, which a descriptor passed over a socket or to a child
// shares: sender and receiver would both hold it. An fcntl(2) lock belongs to
// the process: it tells processes apart, but not two Sinks of one process.
func lock(f *os.File) (unlock func(), err error) {
	fd := int(f.Fd())
	deadline := time.Now().Add(lockWait)
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	setlk := func() error { return unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &whole) }
	if err := poll(deadline, setlk); err != nil {
		return nil, err
	}
	free := func() {
		whole.Type = unix.F_UNLCK
		_ = unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &whole) // a lock that is held can be freed
	}
	if err := poll(deadline, func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		free()
		return nil, err
	}
	return func() {
		_ = unix.Flock(fd, unix.LOCK_UN)
		free()
	}, nil
}

// poll calls try until it succeeds, fails for another reason than that the lock
// is taken, or the deadline has passed.
func poll(deadline time.Time, try func() error) error {
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		err := try()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES):
			return fmt.Errorf("locking the audit log: %w", err)
		case time.Now().After(deadline):
			return ErrLocked
		default:
			time.Sleep(pause)
		}
	}
}
