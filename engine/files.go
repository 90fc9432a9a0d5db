package engine

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openTree opens the directory at path, which has no symlink in it: engines
// resolve their directories when they start, so a path with one is not theirs,
// and the error is fs.ErrNotExist.
func openTree(path string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err == unix.ELOOP || err == unix.ENOTDIR {
		err = unix.ENOENT
	}
	if err != nil {
		return nil, &os.PathError{Op: "opening", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// readBeneath reads the regular file name below dir. The file, dir and every
// directory between must be root's, and none may be a symlink. Whose they are
// counts only if the file is there: a directory that anybody can write is no
// engine's, and no reason to refuse a container of none.
func readBeneath(dir *os.File, name string) ([]byte, error) {
	at, distrust := dir, ownedByRoot(dir)
	parts := strings.Split(name, "/")
	for i, part := range parts {
		flags := unix.O_PATH | unix.O_DIRECTORY
		if i == len(parts)-1 {
			flags = unix.O_RDONLY | unix.O_NONBLOCK
		}
		next, err := step(at, part, flags)
		if at != dir {
			at.Close()
		}
		if err != nil {
			return nil, err
		}
		at = next
		if distrust == nil {
			distrust = ownedByRoot(at)
		}
	}
	defer at.Close()
	if distrust != nil {
		return nil, distrust
	}
	return readAll(at)
}

// step opens one component below dir.
func step(dir *os.File, part string, flags int) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	path := filepath.Join(dir.Name(), part)
	fd, err := unix.Openat2(int(dir.Fd()), part, &how)
	if err != nil {
		return nil, &os.PathError{Op: "opening", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// ownedByRoot refuses what others than root, or than ourselves where the engine
// runs without root, could have written.
func ownedByRoot(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "looking at", Path: f.Name(), Err: err}
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to uid %d, not to root", f.Name(), st.Uid)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%s can be written by others than root (mode %04o)", f.Name(), st.Mode&0o7777)
	}
	return nil
}

// readAll reads a regular file of at most MaxRecord bytes.
func readAll(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", f.Name())
	}
	if st.Size() > MaxRecord {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", f.Name(), st.Size(), MaxRecord)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxRecord+1))
	if err == nil && len(data) > MaxRecord {
		err = fmt.Errorf("%s has more than %d bytes", f.Name(), MaxRecord)
	}
	return data, err
}

// readJSON reads and decodes the file name below dir.
func readJSON(dir *os.File, name string, v any) error {
	data, err := readBeneath(dir, name)
	if err != nil {
		return err
	}
	return decodeJSON(filepath.Base(name), data, v)
}

// snapshotterRoot finds the root of the containerd whose snapshotter has mounted
// an overlay on path, by the mount's upperdir; "" if there is none.
func snapshotterRoot(path string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	return scanMountinfo(f, path)
}

// scanMountinfo does snapshotterRoot's work on a mount table (proc(5)). The last
// mount on path counts. Paths with blanks, which the kernel writes in octal, are
// not looked for.
func scanMountinfo(r io.Reader, path string) string {
	root := ""
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[4] != path {
			continue
		}
		root = ""
		for option := range strings.SplitSeq(fields[len(fields)-1], ",") {
			upper, ok := strings.CutPrefix(option, "upperdir=")
			if before, _, found := strings.Cut(upper, "/io.containerd.snapshotter.v1."); ok && found {
				root = before
			}
		}
	}
	return root
}
