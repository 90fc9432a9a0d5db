package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Change is one thing that becomes possible, or stops being so.
type Change struct {
	Allowed bool   `json:"allowed"` // in the new document
	What    string `json:"what"`    // an example, in one line
	At      string `json:"at"`      // the line that allows it, on its side
}

// Diff lists what changes from one document to another: for each destination,
// method and kind one example, found as Prove finds its own.
func Diff(before, after *Document) ([]Change, error) {
	ma, err := Compile(before)
	if err != nil {
		return nil, err
	}
	mb, err := Compile(after)
	if err != nil {
		return nil, err
	}
	s, err := newSpace(ma, mb)
	if err != nil {
		return nil, err
	}
	d := differ{seen: map[string]bool{}}
	d.files(before, after)
	if err := d.requests(s, mb, ma, true); err != nil {
		return nil, err
	}
	if err := d.requests(s, ma, mb, false); err != nil {
		return nil, err
	}
	if c := proveExtensions(after, before); c != nil {
		d.changes = append(d.changes, Change{Allowed: true, What: c.What, At: c.At})
	}
	if c := proveExtensions(before, after); c != nil {
		d.changes = append(d.changes, Change{What: c.What, At: c.At})
	}
	return d.changes, nil
}

type differ struct {
	changes []Change
	seen    map[string]bool
}

// requests lists what has allows and not does not.
func (d *differ) requests(s *space, has, not *Matcher, allowed bool) error {
	return s.each(has, func(r *Request) bool {
		c := compareDecisions(has, not, r, s)
		if c == nil {
			return true
		}
		key := fmt.Sprint(allowed, r.Stage, r.Host, r.Addr, r.Port, r.UDP, r.Method, r.WebSocket, strings.Contains(c.What, "not inspected"), c.Addr != netip.Addr{})
		if d.seen[key] && len(r.RPC)+len(r.GraphQL) > 0 {
			return true // the body does not matter here
		}
		for _, call := range r.RPC {
			key += " " + call.Method
		}
		for _, o := range r.GraphQL {
			key += " " + o.Type
		}
		if !d.seen[key] {
			d.seen[key] = true
			d.changes = append(d.changes, Change{Allowed: allowed, What: c.What, At: c.At})
		}
		return true
	})
}

func (d *differ) files(before, after *Document) {
	fa, fb := before.EffectiveFilesystem(), after.EffectiveFilesystem()
	if fa.IncludeWorkdir != fb.IncludeWorkdir {
		d.changes = append(d.changes, Change{Allowed: fb.IncludeWorkdir, What: "the work directory is writable", At: fb.At.String()})
	}
	paths := allPaths(&fa, &fb)
	slices.Sort(paths)
	for _, p := range paths {
		a, b := fa.level(p), fb.level(p)
		if a == b {
			continue
		}
		c := Change{Allowed: b > a, What: fmt.Sprintf("%s: %s instead of %s", p, b, a)}
		side := &fb
		if a > b {
			side = &fa
		}
		if by := side.decider(p); by != nil {
			c.At = by.At.String()
		}
		d.changes = append(d.changes, c)
	}
}
