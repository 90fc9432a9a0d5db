package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/plan"
)

// boundary is a path, without links, at which the file system changes between
// writable and read-only by a mount of ours.
type boundary struct {
	path     string
	readOnly bool
	at       string // the policy's line
}

// boundaries finds where mounts must help Landlock, which cannot take away
// below a writable path: every read-only path of the policy that leads below a
// writable one, and writable ones below those. What counts is where the paths
// lead in this image. Those above come first.
//
// The directories between a writable path and the read-only one become mounts
// of themselves (pinned), because a mount point cannot be renamed: else the
// agent could move the parent away and put a tree of its own in its place.
func boundaries(places []place) (bounds []boundary, pinned []string) {
	for _, p := range places {
		top := writableAbove(places, p.resolved)
		if p.rule.Access != plan.ReadOnly || p.rule.From.At == "" || top == "" {
			continue
		}
		bounds = append(bounds, boundary{p.resolved, true, p.rule.From.At})
		for dir := path.Dir(p.resolved); dir != top; dir = path.Dir(dir) {
			pinned = append(pinned, dir)
		}
	}
	for _, p := range places {
		if p.rule.Access == plan.ReadWrite && slices.ContainsFunc(bounds, func(b boundary) bool {
			return b.readOnly && b.path != p.resolved && isBelow(p.resolved, b.path)
		}) {
			bounds = append(bounds, boundary{p.resolved, false, p.rule.From.At})
		}
	}
	slices.SortStableFunc(bounds, func(a, b boundary) int { return cmp.Compare(a.path, b.path) })
	bounds = slices.CompactFunc(bounds, func(a, b boundary) bool { return a.path == b.path })
	slices.Sort(pinned)
	pinned = slices.DeleteFunc(slices.Compact(pinned), func(dir string) bool {
		return slices.ContainsFunc(bounds, func(b boundary) bool { return b.path == dir })
	})
	return bounds, pinned
}

// writableAbove gives the topmost writable path strictly above a path; "": none.
func writableAbove(places []place, name string) string {
	top := ""
	for _, p := range places {
		if p.rule.Access == plan.ReadWrite && p.resolved != name && isBelow(name, p.resolved) &&
			(top == "" || len(p.resolved) < len(top)) {
			top = p.resolved
		}
	}
	return top
}

// mountBoundaries makes the mounts in the thread's mount namespace, a
// container's: with closed the root is read-only but for its writable paths
// (Landlock does not govern chmod and its kin), then what Landlock cannot take
// away below those. Each path is opened once, without following any link, and
// the mount goes onto that very descriptor.
func mountBoundaries(root *rootDir, places []place, closed bool) error {
	if closed {
		if err := closeRoot(root, places); err != nil {
			return err
		}
	}
	bounds, pinned := boundaries(places)
	trees := make([]int, 0, len(bounds))
	defer func() {
		for _, tree := range trees {
			unix.Close(tree)
		}
	}()
	for _, dir := range pinned {
		if err := pin(root, dir); err != nil {
			return fmt.Errorf("keeping %q in its place: %w", dir, err)
		}
	}
	// All are cloned before the first is put in place: a writable path below a
	// read-only one must not become read-only with it.
	for _, b := range bounds {
		tree, err := cloneTree(root, b)
		if err != nil {
			return fmt.Errorf("mounting %q%s: %w", b.path, at(b.at), err)
		}
		trees = append(trees, tree)
	}
	for i, b := range bounds {
		if err := putTree(root, trees[i], b.path); err != nil {
			return fmt.Errorf("mounting %q%s: %w", b.path, at(b.at), err)
		}
	}
	return nil
}

// closeRoot makes each writable path that lies on the root's own mount a mount
// of its own, and then the root's mount read-only. Places come sorted by the
// plan's paths; one that finds itself on another's mount stays there.
func closeRoot(root *rootDir, places []place) error {
	own, err := mountID(root.dir)
	if err != nil {
		return fmt.Errorf("looking at the root's mount: %w", err)
	}
	for _, p := range places {
		if p.rule.Access != plan.ReadWrite || p.resolved == "/" {
			continue // the ruleset refuses to make the root writable
		}
		if err := detach(root, p.resolved, own); err != nil {
			return fmt.Errorf("mounting %q by itself%s: %w", p.rule.Path, at(p.rule.From.At), err)
		}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(int(root.dir.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("making the root read-only: %w", err)
	}
	return nil
}

// detach gives a path a mount of its own if it lies on the mount own.
func detach(root *rootDir, name string, own uint64) error {
	f, err := root.open(name, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	id, err := mountID(f)
	f.Close()
	if err != nil || id != own {
		return err
	}
	return pin(root, name)
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

// pin mounts a directory onto itself.
func pin(root *rootDir, dir string) error {
	tree, err := cloneTree(root, boundary{path: dir})
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return putTree(root, tree, dir)
}

func cloneTree(root *rootDir, b boundary) (int, error) {
	f, err := root.open(b.path, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	tree, err := unix.OpenTree(int(f.Fd()), "",
		unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("cloning it: %w", err)
	}
	if !b.readOnly {
		return tree, nil
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(tree)
		return -1, fmt.Errorf("setting it read-only: %w", err)
	}
	return tree, nil
}

func putTree(root *rootDir, tree int, name string) error {
	f, err := root.open(name, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.MoveMount(tree, "", int(f.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("putting it in place: %w", err)
	}
	return nil
}
