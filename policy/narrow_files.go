package policy

import (
	"fmt"
	"sort"
	"strings"
)

// level is what a list of paths gives below a path.
type level uint8

const (
	levelNone level = iota
	levelRead
	levelWrite
)

func (l level) String() string { return [...]string{"nothing", "read_only", "read_write"}[l] }

// filesystem intersects the effective lists of both sides. The longest listed
// path decides, on each side; the result lists a path wherever the weaker of
// the two answers changes.
func (n *narrower) filesystem() {
	d, c := n.doc.EffectiveFilesystem(), n.ceiling.EffectiveFilesystem()
	out := Filesystem{IncludeWorkdir: d.IncludeWorkdir && c.IncludeWorkdir, At: d.At}
	if d.IncludeWorkdir && !c.IncludeWorkdir {
		n.clamp(d.At, "the work directory is not included", "the ceiling %s does not include it", n.ceiling.Name)
	}
	for _, path := range allPaths(&d, &c) {
		want, have := d.level(path), c.level(path)
		got := min(want, have)
		own := d.find(path)
		if got < want && own != nil && !own.Optional {
			n.clamp(own.At, fmt.Sprintf("%s: %s instead of %s", path, got, want), "the ceiling %s gives no more", n.ceiling.Name)
		}
		if got == levelNone || got == out.level(path) && own == nil {
			continue
		}
		entry := Path{Path: path, At: d.At, Optional: true}
		if own != nil {
			entry = *own
		}
		out.put(entry, got)
	}
	n.doc.Filesystem = &out
}

// allPaths gives every path of both, shorter before longer.
func allPaths(sides ...*Filesystem) []string {
	seen := map[string]bool{}
	var out []string
	for _, f := range sides {
		for _, list := range [...][]Path{f.ReadOnly, f.ReadWrite} {
			for _, p := range list {
				if !seen[p.Path] {
					seen[p.Path] = true
					out = append(out, p.Path)
				}
			}
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if len(out[i]) != len(out[j]) {
			return len(out[i]) < len(out[j])
		}
		return out[i] < out[j]
	})
	return out
}

func (f *Filesystem) put(p Path, l level) {
	switch l {
	case levelRead:
		f.ReadOnly = append(f.ReadOnly, p)
	case levelWrite:
		f.ReadWrite = append(f.ReadWrite, p)
	}
}

// level gives what the longest listed path at or above a path says. A path in
// both lists is read-write, as Landlock adds rights up.
func (f *Filesystem) level(path string) level {
	best, length := levelNone, -1
	for i, list := range [...][]Path{f.ReadOnly, f.ReadWrite} {
		for _, p := range list {
			if below(path, p.Path) && (len(p.Path) > length || len(p.Path) == length && level(i+1) > best) {
				best, length = level(i+1), len(p.Path)
			}
		}
	}
	return best
}

func (f *Filesystem) find(path string) *Path {
	for _, list := range [...][]Path{f.ReadWrite, f.ReadOnly} {
		for i := range list {
			if list[i].Path == path {
				return &list[i]
			}
		}
	}
	return nil
}

// below reports whether path is dir or lies under it.
func below(path, dir string) bool {
	if dir == "/" || path == dir {
		return true
	}
	return strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// FileAccess is what a document gives below a path.
type FileAccess uint8

// The values of FileAccess, in order.
const (
	FileNone FileAccess = iota
	FileRead
	FileWrite
)

// Access says what the lists give for an absolute, cleaned path: the longest
// listed path at or above it decides. The work directory is not known here.
func (f *Filesystem) Access(path string) FileAccess { return FileAccess(f.level(path)) }
