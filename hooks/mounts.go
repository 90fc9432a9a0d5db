package hooks

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/plan"
)

// mountReadOnly makes the plan's paths read-only inside the container of pid, by
// a mount over each: Landlock cannot take away below a writable path. The path
// is opened once and the mount goes onto that very descriptor, so a link of the
// image can lead nowhere else, and never to the host.
func mountReadOnly(pid int, p *plan.Plan) (skipped []string, err error) {
	if len(p.Filesystem.ReadOnlyMounts) == 0 {
		return nil, nil
	}
	err = inMountNamespace(pid, func(root *rootDir) error {
		for _, m := range p.Filesystem.ReadOnlyMounts {
			err := mountOneReadOnly(root, m.Path)
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

func mountOneReadOnly(root *rootDir, name string) error {
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
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("setting it read-only: %w", err)
	}
	err = unix.MoveMount(tree, "", int(f.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("putting it in place: %w", err)
	}
	return nil
}
