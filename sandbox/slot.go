package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	controlSocket = "control.sock"
	// slotTries bounds the search for a free slot. With 65536 slots and a
	// thousand in use, 20 misses in a row do not happen.
	slotTries = 64
	// ControlTimeout bounds one question on a control socket.
	ControlTimeout = 10 * time.Second
)

// Slot is the place of one broker and supervisor: a directory, and a uid that
// no other supervisor of this host has meanwhile.
type Slot struct {
	Dir    string
	Number uint32
}

// NewSlot takes a free slot out of count. The directory is made 0700, after note
// was told of it: whoever is killed in between has written down what to remove.
func NewSlot(runDir string, count uint32, note func(dir string) error) (*Slot, error) {
	parent := filepath.Join(runDir, "supervisors")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("making the supervisors' directory: %w", err)
	}
	for range slotTries {
		n := rand.Uint32N(count)
		dir := filepath.Join(parent, strconv.FormatUint(uint64(n), 10))
		if err := note(dir); err != nil {
			return nil, err
		}
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			return &Slot{Dir: dir, Number: n}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making a supervisor's directory: %w", err)
		}
	}
	return nil, fmt.Errorf("looking for a free supervisor slot of %d: %d tries", count, slotTries)
}

// OpenSlot returns the slot whose directory is dir.
func OpenSlot(dir string) (*Slot, error) {
	n, err := strconv.ParseUint(filepath.Base(dir), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("reading the slot's number of %s: %w", dir, err)
	}
	return &Slot{Dir: dir, Number: uint32(n)}, nil
}

// Remove removes the slot's directory. That it is gone is no error.
func (s *Slot) Remove() error {
	if err := os.RemoveAll(s.Dir); err != nil {
		return fmt.Errorf("removing the supervisor's directory: %w", err)
	}
	return nil
}

// ControlSocket returns the path of the slot's socket.
func (s *Slot) ControlSocket() string { return filepath.Join(s.Dir, controlSocket) }

// Ask sends one request to the slot's broker and waits for the answer. An
// answer with an Error is returned as an error.
func (s *Slot) Ask(req *Request, files ...*os.File) (*Reply, error) {
	sock, err := dialSocket(s.ControlSocket())
	if err != nil {
		return nil, fmt.Errorf("calling the broker: %w", err)
	}
	conn := NewConn(sock)
	defer conn.Close()
	if err := sock.SetDeadline(time.Now().Add(ControlTimeout)); err != nil {
		return nil, fmt.Errorf("calling the broker: %w", err)
	}
	if err := conn.Send(req, files...); err != nil {
		return nil, fmt.Errorf("asking the broker to %s: %w", req.Verb, err)
	}
	reply := new(Reply)
	got, err := conn.Receive(reply)
	closeAll(got)
	if err != nil {
		return nil, fmt.Errorf("asking the broker to %s: %w", req.Verb, err)
	}
	if reply.Error != "" {
		return nil, fmt.Errorf("asking the broker to %s: %s", req.Verb, reply.Error)
	}
	return reply, nil
}

// dialSocket connects to a socket whose path may be longer than sun_path
// (108 bytes, unix(7)), by way of its directory's descriptor.
func dialSocket(name string) (*net.UnixConn, error) {
	dir, err := os.OpenFile(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	short := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(name))
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
}

// Netns is the claim on one network namespace, under its lock.
type Netns struct {
	link string
	lock *os.File
}

// LockNetns waits for the lock of the namespace with this cookie. It is held
// until Unlock.
func LockNetns(runDir string, cookie uint64) (*Netns, error) {
	dir := filepath.Join(runDir, "netns")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the namespaces' directory: %w", err)
	}
	link := filepath.Join(dir, strconv.FormatUint(cookie, 10))
	for {
		lock, err := os.OpenFile(link+".lock", os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening a namespace's lock: %w", err)
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			lock.Close()
			return nil, fmt.Errorf("locking a namespace: %w", err)
		}
		if stillThere(lock, link+".lock") {
			return &Netns{link: link, lock: lock}, nil
		}
		lock.Close() // removed by Release between open and flock: once more
	}
}

// stillThere reports whether name is still the file that f has open.
func stillThere(f *os.File, name string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(have, there)
}

// Slot returns the slot that serves the namespace; nil: none.
func (n *Netns) Slot() (*Slot, error) {
	dir, err := os.Readlink(n.link)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a namespace's slot: %w", err)
	}
	return OpenSlot(dir)
}

// Claim says that the slot serves the namespace from now on.
func (n *Netns) Claim(s *Slot) error {
	if err := os.Symlink(s.Dir, n.link); err != nil {
		return fmt.Errorf("claiming a namespace: %w", err)
	}
	return nil
}

// Release takes the claim back and removes the lock's file, still holding it:
// whoever waits for it sees that the file is gone and makes a new one.
func (n *Netns) Release() error {
	err := os.Remove(n.link)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = os.Remove(n.link + ".lock")
	}
	if err != nil {
		return fmt.Errorf("giving a namespace back: %w", err)
	}
	return nil
}

// Unlock gives the lock up. Where nobody has claimed the namespace, its file
// goes too: a container that was refused leaves nothing behind.
func (n *Netns) Unlock() {
	defer n.lock.Close()
	if _, err := os.Lstat(n.link); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	// After Release the name may be somebody else's lock already.
	if name := n.link + ".lock"; stillThere(n.lock, name) {
		os.Remove(name)
	}
}

// SweepLocks removes the locks of namespaces that nobody holds and nobody has
// claimed: what a create leaves that is killed between the two. Those that are
// held are left.
func SweepLocks(runDir string) {
	locks, _ := filepath.Glob(filepath.Join(runDir, "netns", "*.lock"))
	for _, name := range locks {
		lock, err := os.OpenFile(name, os.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			lock.Close()
			continue
		}
		(&Netns{link: strings.TrimSuffix(name, ".lock"), lock: lock}).Unlock()
	}
}
