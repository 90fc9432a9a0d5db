// Package dockerd deals with the Docker engine of this host: its configuration
// file, its process, and what its socket tells.
package dockerd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/daemonjson"
)

// DefaultFile is where Docker looks for its configuration.
const DefaultFile = "/etc/docker/daemon.json"

// File is a daemon.json as it was read.
type File struct {
	Path   string // as given, or what a symlink there leads to
	Text   []byte // empty when there is no file
	Exists bool

	mode     os.FileMode
	uid, gid int
}

// ReadFile reads the configuration at path. That there is none is no error.
func ReadFile(path string) (*File, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("reading %s: it is a symlink to nothing", path)
		}
		return &File{Path: path, mode: 0o644, uid: -1, gid: -1}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the engine's configuration: %w", err)
	}
	f, err := os.OpenFile(target, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the engine's configuration: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("reading %s: %w", target, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("reading %s: it is not a regular file", target)
	}
	text, err := io.ReadAll(io.LimitReader(f, daemonjson.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the engine's configuration: %w", err)
	}
	return &File{
		Path: target, Text: text, Exists: true,
		mode: os.FileMode(st.Mode & 0o777), uid: int(st.Uid), gid: int(st.Gid),
	}, nil
}

// Replace writes text in the file's place, in one step, with the owner and mode
// that it had, and keeps the old file under the returned name; "" if there was
// none. now goes into that name.
func (f *File) Replace(text []byte, now time.Time) (backup string, err error) {
	dir := filepath.Dir(f.Path)
	if !f.Exists {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", fmt.Errorf("making the engine's configuration directory: %w", err)
		}
	} else if backup, err = f.backUp(now); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(dir, ".daemon.json-*")
	if err != nil {
		return backup, fmt.Errorf("writing the engine's configuration: %w", err)
	}
	defer os.Remove(tmp.Name()) // after the rename there is nothing to remove
	if err := f.fill(tmp, text); err != nil {
		return backup, fmt.Errorf("writing %s: %w", tmp.Name(), err)
	}
	if current, err := os.ReadFile(f.Path); f.Exists && (err != nil || !bytes.Equal(current, f.Text)) {
		return backup, fmt.Errorf("writing %s: somebody else has changed it meanwhile", f.Path)
	}
	if err := os.Rename(tmp.Name(), f.Path); err != nil {
		return backup, fmt.Errorf("writing the engine's configuration: %w", err)
	}
	return backup, nil
}

// fill writes the new file and closes it.
func (f *File) fill(tmp *os.File, text []byte) error {
	_, err := tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(f.mode))
	if f.Exists && os.Geteuid() == 0 {
		err = errors.Join(err, tmp.Chown(f.uid, f.gid))
	}
	return errors.Join(err, tmp.Sync(), tmp.Close())
}

// backUp keeps the file as it is under another name, which is never taken twice.
func (f *File) backUp(now time.Time) (string, error) {
	stem := f.Path + ".before-nemoclaw-" + now.UTC().Format("20060102T150405Z")
	name := stem
	for i := 2; ; i++ {
		b, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if errors.Is(err, fs.ErrExist) && i < 100 {
			name = fmt.Sprintf("%s-%d", stem, i)
			continue
		}
		if err != nil {
			return "", fmt.Errorf("keeping the old configuration: %w", err)
		}
		if err := f.fill(b, f.Text); err != nil {
			err = errors.Join(err, os.Remove(name)) // half a copy is none
			return "", fmt.Errorf("keeping the old configuration in %s: %w", name, err)
		}
		return name, nil
	}
}
