package policy

import "fmt"

// Lint finds what a document allows or forbids without its author meaning it.
// Parse calls it; call it for documents made otherwise.
func Lint(doc *Document) []Warning {
	l := &linter{doc: doc}
	l.filesystem()
	for i := range doc.Network {
		l.rule(&doc.Network[i])
	}
	return l.out
}

type linter struct {
	doc *Document
	out []Warning
}

func (l *linter) warn(at Position, code, fix, format string, args ...any) {
	if len(l.out) < maxErrors*10 {
		l.out = append(l.out, Warning{At: at, Code: code, Fix: fix, Msg: fmt.Sprintf(format, args...)})
	}
}

func (l *linter) filesystem() {}

func (l *linter) rule(r *NetworkRule) {
	if !r.AnyBinary && len(r.Binaries) == 0 {
		l.warn(r.At, "no_binaries", "add binaries: [{path: /usr/bin/…}], or binaries: any",
			"the rule %q names no binaries and so allows nothing", printable(r.Name))
	}
}
