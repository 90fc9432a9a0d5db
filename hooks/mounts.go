package hooks

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/plan"
)

// mountReadOnly makes read-only what the plan says, inside the container of pid:
// the root but for its writable paths, and paths below those. Landlock cannot
// take away below a writable path, and does not govern chmod and its kin. Each
// path is opened once and its mount goes onto that very descriptor, so a link of
// the image can lead nowhere else, and never to the host.
func mountReadOnly(pid int, p *plan.Plan) (skipped []string, err error) {
	if len(p.Filesystem.ReadOnlyMounts) == 0 && !p.Filesystem.ReadOnlyRoot {
		return nil, nil
	}
	err = inMountNamespace(pid, func(root *rootDir) error {
		if p.Filesystem.ReadOnlyRoot {
			if err := closeRoot(root, p); err != nil {
				return err
			}
		}
		for _, m := range p.Filesystem.ReadOnlyMounts {
			err := overmount(root, m.Path, unix.MOUNT_ATTR_RDONLY)
			if isAbsent(err) {
				skipped = append(skipped, m.Path)
				continue
			}
			if err != nil {
				return fmt.Errorf("mounting %q read-only%s: %w", m.Path, at(m.From.At), err)
			}
		}
		return nil
	})
	return skipped, err
}

// closeRoot makes each writable path that lies on the root's own mount a mount
// of its own, and then the root's mount read-only. Paths come sorted, so that
// one below another finds itself on that one's mount already.
func closeRoot(root *rootDir, p *plan.Plan) error {
	own, err := mountID(root.dir)
	if err != nil {
		return fmt.Errorf("looking at the root's mount: %w", err)
	}
	for _, r := range p.Filesystem.Rules {
		if r.Access != plan.ReadWrite {
			continue
		}
		err := detach(root, r.Path, own)
		if err != nil && !(r.Optional && isAbsent(err)) {
			return fmt.Errorf("mounting %q by itself%s: %w", r.Path, at(r.From.At), err)
		}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(int(root.dir.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("making the root read-only: %w", err)
	}
	return nil
}

// detach gives a path a mount of its own if it lies on the mount own, but not
// the root itself, which the ruleset refuses to make writable.
func detach(root *rootDir, name string, own uint64) error {
	f, err := root.open(name, 0)
	if err != nil {
		return err
	}
	id, err := mountID(f)
	if err != nil {
		f.Close()
		return err
	}
	resolved, err := root.resolved(f)
	f.Close()
	if err != nil || id != own || resolved == "/" {
		return err
	}
	return overmount(root, name, 0)
}

// mountID is the id of the mount that a descriptor lies on (statx(2)).
func mountID(f *os.File) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return 0, err
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return 0, errors.New("the kernel tells no mount ids")
	}
	return st.Mnt_id, nil
}

// overmount puts a copy of a path's tree over it, with these attributes set on
// every mount in it.
func overmount(root *rootDir, name string, set uint64) error {
	f, err := root.open(name, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	tree, err := unix.OpenTree(int(f.Fd()), "",
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("cloning it: %w", err)
	}
	defer unix.Close(tree)
	if set != 0 {
		attr := unix.MountAttr{Attr_set: set}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
			return fmt.Errorf("setting its attributes: %w", err)
		}
	}
	err = unix.MoveMount(tree, "", int(f.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("putting it in place: %w", err)
	}
	return nil
}
