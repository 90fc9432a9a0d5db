package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// fill opens the plan's paths below the container's root and adds them to the
// ruleset, before the agent has run: no link can have been exchanged yet, and
// those of the image are followed below its root only.
func fill(ruleset *os.File, root *rootDir, p *plan.Plan) (rules []sandbox.Rule, skipped []string, err error) {
	for _, r := range p.Filesystem.Rules {
		rule, err := addRule(ruleset, root, r, p.Filesystem.ABI)
		if r.Optional && isAbsent(err) {
			if r.From.At != "" { // asked for by name; what the runtime adds by itself is no loss
				skipped = append(skipped, r.Path)
			}
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("opening policy path %q%s: %w", r.Path, at(r.From.At), err)
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

// errNoDevice says that a path that is granted as a device is none.
var errNoDevice = errors.New("it is no character device")

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, errNoDevice)
}

func addRule(ruleset *os.File, root *rootDir, r plan.PathRule, abi int) (*sandbox.Rule, error) {
	f, err := root.open(r.Path, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rule := &sandbox.Rule{Path: r.Path, Access: r.Access}
	if rule.Resolved, err = root.resolved(f); err != nil {
		return nil, err
	}
	if rule.Resolved == "/" && r.Access == plan.ReadWrite {
		return nil, errors.New("it leads to the root directory, which may not be writable as a whole")
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
	if device && !isDir && kind != unix.S_IFCHR {
		return errNoDevice
	}
	rule.Dev, rule.Inode = st.Dev, st.Ino
	return landlock.AddPath(ruleset, f, landlock.Rights(abi, rule.Access != plan.ReadOnly, isDir, device))
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
