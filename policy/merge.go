package policy

import (
	"fmt"
	"reflect"
	"slices"
)

// Merge puts documents together: a base, and fragments such as presets whose
// network rules and middlewares are added. Rules under one key are never
// united: the same key twice must mean the same, else the merge fails. Sections
// other than the network come from the first document that has them. The
// result is checked like a parsed file.
func Merge(docs ...*Document) (*Document, error) {
	if len(docs) == 0 {
		return nil, fmt.Errorf("merging policies: none given")
	}
	out := *docs[0]
	out.Network = slices.Clone(out.Network)
	out.Middlewares = slices.Clone(out.Middlewares)
	for _, d := range docs[1:] {
		if err := out.merge(d); err != nil {
			return nil, err
		}
	}
	if out.Version == 0 {
		out.Version = 1
	}
	if len(docs) > 1 {
		out.SHA256 = "" // no single file any more
	}
	out.Preset = nil
	if errs := disagreements(&out); len(errs) > 0 {
		return nil, Errors(errs)
	}
	return &out, nil
}

// merge adds one document.
func (d *Document) merge(other *Document) error {
	if len(other.Within) > 0 {
		return fmt.Errorf("merging policy %s into %s: it is already under a ceiling", other.Name, d.Name)
	}
	d.Name += "+" + other.Name
	for _, r := range other.Network {
		i := slices.IndexFunc(d.Network, func(x NetworkRule) bool { return x.Key == r.Key })
		if i < 0 {
			d.Network = append(d.Network, r)
		} else if !reflect.DeepEqual(d.Network[i], r) {
			return &Error{At: r.At, Msg: fmt.Sprintf("the key %q is already used at %s", printable(r.Key), d.Network[i].At), Fix: "rename one of them"}
		}
	}
	for _, m := range other.Middlewares {
		i := slices.IndexFunc(d.Middlewares, func(x Middleware) bool { return x.Key == m.Key || x.Order == m.Order })
		if i < 0 {
			d.Middlewares = append(d.Middlewares, m)
		} else if !reflect.DeepEqual(d.Middlewares[i], m) {
			return &Error{At: m.At, Msg: fmt.Sprintf("the middleware %q has the key or order of the one at %s", printable(m.Key), d.Middlewares[i].At)}
		}
	}
	if d.Filesystem == nil {
		d.Filesystem = other.Filesystem
	}
	if d.Landlock == nil {
		d.Landlock = other.Landlock
	}
	if d.Process == nil {
		d.Process = other.Process
	}
	if d.Nemoclaw == nil {
		d.Nemoclaw = other.Nemoclaw
	}
	return nil
}
