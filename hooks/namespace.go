package hooks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// rootDir is a directory that paths are resolved below, as if it were /.
type rootDir struct {
	dir *os.File
	// fds is our own /proc/self/fd, opened where /proc is the host's: inside a
	// container's mount namespace /proc does not know us.
	fds *os.File
}

// openRoot opens a container's root directory as a place to look below.
func openRoot(name string) (*rootDir, error) {
	fds, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("opening our own descriptors: %w", err)
	}
	r, err := openRootWith(name, fds)
	if err != nil {
		fds.Close()
	}
	return r, err
}

func openRootWith(name string, fds *os.File) (*rootDir, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening root %q: %w", name, err)
	}
	return &rootDir{os.NewFile(uintptr(fd), name), fds}, nil
}

func (r *rootDir) close() {
	r.dir.Close()
	r.fds.Close()
}

// open opens a path of the container with O_PATH. Links, and .. in them, are
// resolved as if the root were /; what /proc's own links lead to is refused
// (openat2(2); CVE-2021-30465 and its kin). resolve adds to that.
func (r *rootDir) open(name string, resolve uint64) (*os.File, error) {
	return r.openFlags(name, 0, resolve)
}

func (r *rootDir) openFlags(name string, flags, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	for {
		fd, err := unix.Openat2(int(r.dir.Fd()), name, &how)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue // a rename raced with ..: the kernel asks to try again
		}
		if err != nil {
			return nil, &os.PathError{Op: "openat2", Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// openRegular opens a regular file of the container for reading; anything else
// is refused before it is opened, because opening a device or a fifo acts.
func (r *rootDir) openRegular(name string) (*os.File, error) {
	at, err := r.open(name, 0)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return nil, &os.PathError{Op: "fstat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("opening %q: it is no regular file", name)
	}
	fd, err := unix.Openat(int(r.fds.Fd()), strconv.Itoa(int(at.Fd())), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// read reads a regular file of the container, bounded.
func (r *rootDir) read(name string) ([]byte, error) {
	f, err := r.openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}

func readBounded(f io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err == nil && len(text) > maxPolicy {
		err = fmt.Errorf("more than %d bytes", maxPolicy)
	}
	return text, err
}

// readBelow reads a file of an image. Links are followed below its root only.
func readBelow(root, name string) ([]byte, error) {
	dir, err := openRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.close()
	return dir.read(name)
}

// errUnresolved keeps a failed look at a descriptor from being taken for an
// absent path: it is not wrapped.
type errUnresolved struct{ cause string }

func (e errUnresolved) Error() string { return "finding out where a descriptor leads: " + e.cause }

// resolved says where an open path leads, as seen from the root of the thread's
// mount namespace.
func (r *rootDir) resolved(f *os.File) (string, error) {
	buf := make([]byte, unix.PathMax+1)
	n, err := unix.Readlinkat(int(r.fds.Fd()), strconv.Itoa(int(f.Fd())), buf)
	if err != nil {
		return "", errUnresolved{err.Error()}
	}
	if n > unix.PathMax || n == 0 || buf[0] != '/' {
		return "", errUnresolved{fmt.Sprintf("%q is no path", bounded(string(buf[:n])))}
	}
	return string(buf[:n]), nil
}

// inMountNamespace runs do on a thread that has entered the mount namespace of
// the process pid, with the namespace's own root as working directory and root
// (not the process's: a chroot would move /proc/PID/root). The thread is not
// used again.
func inMountNamespace(pid int, do func(root *rootDir) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- enterMountNamespace(pid, do)
	}()
	return <-done
}

func enterMountNamespace(pid int, do func(root *rootDir) error) error {
	fds, err := os.Open("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("opening our own descriptors: %w", err)
	}
	defer fds.Close()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return fmt.Errorf("opening the container's mount namespace: %w", err)
	}
	defer ns.Close()
	// A thread that shares its working directory and root with others may not
	// change the namespace (setns(2)).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("leaving the shared working directory: %w", err)
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("entering the container's mount namespace: %w", err)
	}
	root, err := openRootWith("/", fds)
	if err != nil {
		return err
	}
	defer root.dir.Close()
	return do(root)
}
