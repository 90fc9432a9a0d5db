package hooks

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/plan"
)

// maxLinks is the kernel's bound on links in one path (path_resolution(7)).
const maxLinks = 40

// place is a rule of the plan and where its path leads in the container.
type place struct {
	rule     plan.PathRule
	resolved string
	// links are the directories in which links lie that the path goes through.
	links []string
}

// locate follows the plan's paths below the container's root. What is optional
// and absent is left out; missing names those that the policy asked for.
//
// The root file system may have been written to by an agent before: a container
// that is started again keeps it, and volumes are shared. So a link that lies
// where some rule lets the agent write may lead only to where it may write
// anyhow (tried: /work/out was replaced by a link to /etc, and a restart made
// /etc writable).
func locate(root *rootDir, rules []plan.PathRule) (places []place, missing []string, err error) {
	leave := func(r plan.PathRule, why string) {
		if r.From.At != "" { // asked for by name; what the runtime adds by itself is no loss
			missing = append(missing, r.Path+": "+why)
		}
	}
	for _, r := range rules {
		p, err := root.follow(r.Path)
		if r.Optional && isAbsent(err) {
			leave(r, "not in the container, rule skipped")
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("opening policy path %q%s: %w", r.Path, at(r.From.At), err)
		}
		p.rule = r
		places = append(places, *p)
	}
	var kept []place
	strays := strays(places)
	for i, p := range places {
		switch {
		case !strays[i]:
			kept = append(kept, p)
		case p.rule.Optional:
			leave(p.rule, "a link that the agent could have made leads it to "+bounded(p.resolved)+", rule skipped")
		default:
			return nil, nil, fmt.Errorf("opening policy path %q%s: a link that the agent could have made leads it to %s", p.rule.Path, at(p.rule.From.At), bounded(p.resolved))
		}
	}
	return kept, missing, nil
}

// strays tells which places are reached by a link in a writable directory and
// lie outside of all that is writable without such a link.
func strays(places []place) []bool {
	var writable, sure []string
	for _, p := range places {
		if p.rule.Access == plan.ReadWrite && p.resolved != "/" { // refused later, by its name
			writable = append(writable, p.resolved)
		}
	}
	tainted := func(p place) bool {
		return slices.ContainsFunc(p.links, func(dir string) bool { return belowAny(dir, writable) })
	}
	for _, p := range places {
		if p.rule.Access == plan.ReadWrite && !tainted(p) {
			sure = append(sure, p.resolved)
		}
	}
	out := make([]bool, len(places))
	for i, p := range places {
		out[i] = tainted(p) && !belowAny(p.resolved, sure)
	}
	return out
}

// isBelow reports whether name is dir or lies in it. Both are clean.
func isBelow(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

func belowAny(name string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return isBelow(name, dir) })
}

// follow finds where a path leads and which links it goes through. The kernel
// resolves it first, with all that it refuses; the walk must agree.
func (r *rootDir) follow(name string) (*place, error) {
	f, err := r.open(name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := r.walk(name)
	if err != nil {
		return nil, err
	}
	same, err := r.open(p.resolved, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return nil, err
	}
	defer same.Close()
	x, err1 := f.Stat()
	y, err2 := same.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if !os.SameFile(x, y) {
		return nil, fmt.Errorf("%q leads elsewhere than its links say", name)
	}
	return p, nil
}

// walk resolves a path step by step, as openat2 with RESOLVE_IN_ROOT does.
func (r *rootDir) walk(name string) (*place, error) {
	p := &place{resolved: "/"}
	todo := strings.Split(name, "/")
	for len(todo) > 0 {
		step := todo[0]
		todo = todo[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			p.resolved = path.Dir(p.resolved)
			continue
		}
		next := path.Join(p.resolved, step)
		link, err := r.readlink(next)
		switch {
		case err != nil:
			return nil, err
		case link == "":
			p.resolved = next
			continue
		case len(p.links) == maxLinks:
			return nil, unix.ELOOP
		}
		p.links = append(p.links, p.resolved)
		if path.IsAbs(link) {
			p.resolved = "/"
		}
		todo = append(strings.Split(link, "/"), todo...)
	}
	return p, nil
}

// readlink reads a symbolic link whose directories are none; "" is no link.
func (r *rootDir) readlink(name string) (string, error) {
	f, err := r.openFlags(name, unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL): // no link
		return "", nil
	case err != nil:
		return "", err
	}
	return string(buf[:n]), nil
}
