package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// fill adds the places to the ruleset, before the agent runs. Nothing has
// changed since they were located: those who could wait at the fifo.
func fill(ruleset *os.File, root *rootDir, places []place, abi int) (rules []sandbox.Rule, skipped []string, err error) {
	for _, p := range places {
		rule, err := addRule(ruleset, root, &p, abi)
		if p.rule.Optional && (isAbsent(err) || errors.Is(err, errKernelTree)) {
			if p.rule.From.At != "" || !errors.Is(err, errNoDevice) {
				skipped = append(skipped, p.rule.Path+": "+err.Error()+", rule skipped")
			}
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("opening policy path %q%s: %w", p.rule.Path, at(p.rule.From.At), err)
		}
		rules = append(rules, *rule)
	}
	return rules, skipped, nil
}

func at(position string) string {
	if position == "" {
		return ""
	}
	return " (" + position + ")"
}

// errNoDevice says that a path that is granted as a device is none, errKernelTree
// that a link makes one that is to be writable show the kernel.
var (
	errNoDevice   = errors.New("it is no character device")
	errKernelTree = errors.New("a link leads it into /proc or /sys")
)

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, errNoDevice)
}

func addRule(ruleset *os.File, root *rootDir, p *place, abi int) (*sandbox.Rule, error) {
	f, err := root.open(p.resolved, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rule := &sandbox.Rule{Path: p.rule.Path, Resolved: p.resolved, Access: p.rule.Access}
	if rule.Access == plan.ReadWrite && rule.Resolved == "/" {
		return nil, errors.New("it leads to the root directory, which may not be writable as a whole")
	}
	if rule.Access == plan.ReadWrite && len(p.links) > 0 && isFilesystem(f, unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC) {
		return nil, errKernelTree
	}
	return rule, grant(ruleset, f, rule, abi)
}

// grant adds an open path and notes its identity.
func grant(ruleset, f *os.File, rule *sandbox.Rule, abi int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	isDir := kind == unix.S_IFDIR
	device := rule.Access == plan.Device
	if device && kind != unix.S_IFCHR && !(isDir && isFilesystem(f, unix.DEVPTS_SUPER_MAGIC)) {
		return errNoDevice // an image's /dev/pts may be a link to any directory
	}
	rule.Dev, rule.Inode = st.Dev, st.Ino
	return landlock.AddPath(ruleset, f, landlock.Rights(abi, rule.Access != plan.ReadOnly, isDir, device))
}

// isFilesystem reports whether an open path lies in a file system of one of the
// kinds (statfs(2)).
func isFilesystem(f *os.File, kinds ...int64) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && slices.Contains(kinds, st.Type)
}

// refill fills a ruleset for a process that joins: by now the agent has run, and
// a path that it exchanged for a link to /etc must not make /etc writable
// (tried). So each rule's resolved path is opened without following any link
// and must still be what it was. Rules that are not are dropped, and named.
func refill(ruleset *os.File, pid int, e *sandbox.Enforced) (dropped []string, err error) {
	err = inMountNamespace(pid, func(root *rootDir) error {
		for i := range e.Rules {
			ok, err := readd(ruleset, root, &e.Rules[i], e.LandlockABI)
			if err != nil {
				return fmt.Errorf("opening policy path %q again: %w", e.Rules[i].Path, err)
			}
			if !ok {
				dropped = append(dropped, e.Rules[i].Path)
			}
		}
		return nil
	})
	return dropped, err
}

func readd(ruleset *os.File, root *rootDir, have *sandbox.Rule, abi int) (bool, error) {
	f, err := root.open(have.Resolved, unix.RESOLVE_NO_SYMLINKS)
	if isAbsent(err) || errors.Is(err, unix.ELOOP) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, err
	}
	if st.Dev != have.Dev || st.Ino != have.Inode {
		return false, nil
	}
	rule := *have
	return true, grant(ruleset, f, &rule, abi)
}
