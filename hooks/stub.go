package hooks

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/enforce/seccomp/compile"
	"github.com/nemoclaw/nemoclaw/plan"
)

// Descriptors go into a container with each process, and nemoclaw-init closes
// them before the agent runs.
type Descriptors struct {
	// Stub is nemoclaw-init, read-only.
	Stub *os.File
	// Ruleset is the Landlock ruleset; nil: the plan has none. It is filled
	// from outside, through this same open file.
	Ruleset *os.File
	// Seccomp holds our own program.
	Seccomp *os.File
}

// Close closes all of them on our side.
func (d *Descriptors) Close() {
	for _, f := range []*os.File{d.Stub, d.Ruleset, d.Seccomp} {
		if f != nil {
			f.Close()
		}
	}
}

// Descriptors opens what one process of the container needs.
func (s *Sandbox) Descriptors(p *plan.Plan) (_ *Descriptors, err error) {
	d := new(Descriptors)
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.Stub, err = s.openStub(); err != nil {
		return nil, err
	}
	if p.Filesystem.ABI > 0 {
		if d.Ruleset, err = landlock.NewRuleset(p.Filesystem.ABI, 0); err != nil {
			return nil, err
		}
	}
	prog, err := compile.Agent()
	if err != nil {
		return nil, err
	}
	d.Seccomp, err = sealed("nemoclaw-seccomp", prog, unix.MFD_NOEXEC_SEAL)
	return d, err
}

// openStub opens nemoclaw-init as a detached read-only mount of the installed
// file: the process that executes it cannot write to it (CVE-2019-5736), and it
// keeps its SELinux label, which a memfd has not. Where a detached mount cannot
// be had (a rootless runtime) it is a sealed memory file.
func (s *Sandbox) openStub() (*os.File, error) {
	name, err := s.host.Config.Helper("nemoclaw-init")
	if err != nil {
		return nil, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
		if err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		unix.Close(fd)
	}
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("mounting %s: %w", name, err)
	}
	image, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the stub: %w", err)
	}
	return sealed("nemoclaw-init", image, unix.MFD_EXEC)
}

// sealed makes a memory file that nobody can change any more (memfd_create(2)).
func sealed(name string, content []byte, mode int) (*os.File, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|mode)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("making memory file %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.WriteAt(content, 0)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS,
			unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("filling memory file %s: %w", name, err)
	}
	return f, nil
}
