package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/sandbox"
)

// checkProgram finds the program that a process will execute, in the
// container's root, and refuses in the words of runc what cannot be executed:
// with nemoclaw-init in front, libcontainer itself would only notice too late.
// What the rules do not let execute is refused too; nil rules let everything.
func checkProgram(root *rootDir, p *specs.Process, rules []sandbox.Rule) error {
	if len(p.Args) == 0 {
		return errors.New("args must not be empty")
	}
	name := p.Args[0]
	if strings.Contains(name, "/") {
		at := name
		if !path.IsAbs(at) {
			at = path.Join("/", p.Cwd, at)
		}
		resolved, err := executable(root, at, &p.User)
		if err != nil {
			return fmt.Errorf("exec: %q: %w", name, shortError(err, name))
		}
		return permitted(name, resolved, rules)
	}
	denied := false
	for _, dir := range strings.Split(searchPath(p.Env), ":") {
		resolved, err := executable(root, path.Join("/", dir, name), &p.User)
		if err == nil {
			return permitted(name, resolved, rules)
		}
		denied = denied || errors.Is(err, fs.ErrPermission)
	}
	if denied {
		return fmt.Errorf("exec: %q: permission denied", name)
	}
	return fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}

// shortError gives an error of a look-up the words that os/exec has for it,
// which engines look for.
func shortError(err error, name string) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return &os.PathError{Op: "stat", Path: name, Err: at.Err}
	}
	return err
}

func searchPath(env []string) string {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			return v
		}
	}
	return ""
}

// executable opens a candidate below the root and gives its resolved path.
func executable(root *rootDir, name string, user *specs.User) (string, error) {
	f, err := root.open(name, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return "", unix.EISDIR
	}
	if !mayExecute(&st, user) {
		return "", fs.ErrPermission
	}
	return root.resolved(f)
}

// mayExecute looks at the permission bits alone (path_resolution(7)): access
// lists and user namespaces may still say no, and then the stub says so.
func mayExecute(st *unix.Stat_t, user *specs.User) bool {
	switch {
	case user.UID == 0:
		return st.Mode&0o111 != 0
	case st.Uid == user.UID:
		return st.Mode&0o100 != 0
	case st.Gid == user.GID || slices.Contains(user.AdditionalGids, st.Gid):
		return st.Mode&0o010 != 0
	}
	return st.Mode&0o001 != 0
}

// permitted reports whether some rule covers the program: every rule grants
// execution along with reading.
func permitted(name, resolved string, rules []sandbox.Rule) error {
	if rules == nil {
		return nil
	}
	for _, r := range rules {
		if resolved == r.Resolved || strings.HasPrefix(resolved, strings.TrimSuffix(r.Resolved, "/")+"/") {
			return nil
		}
	}
	return fmt.Errorf("exec: %q: permission denied: the policy grants no path above %s; add it to filesystem_policy.read_only", name, resolved)
}
