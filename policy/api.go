package policy

import (
	"errors"
	"net/netip"
)

func Parse(name string, data []byte) (*Document, []Warning, error) {
	return nil, nil, errors.New("todo")
}
func Narrow(doc, ceiling *Document) (*Document, []Clamp, error) { return nil, nil, errors.New("todo") }
func Builtin() *Document                                        { return nil }
func BuiltinCeiling() *Document                                 { return nil }
func (d *Document) EffectiveFilesystem() Filesystem             { return Filesystem{} }
func (d *Document) Digest() string                              { return "" }

// Warning is something worth a look that does not stop the document.
type Warning struct {
	At   Position
	Code string
	Msg  string
	Fix  string
}

// Error is one mistake in a document.
type Error struct {
	At      Position
	Msg     string
	Fix     string
	Excerpt string
}

func (e *Error) Error() string { return e.At.Long() + ": " + e.Msg }

// Clamp is one thing that a ceiling took away.
type Clamp struct {
	At   Position
	What string
	Why  string
	By   Position
}

type Matcher struct{ _ int }

func Compile(doc *Document) (*Matcher, error)                 { return nil, errors.New("todo") }
func (m *Matcher) Name(host string) NameVerdict               { return NameDenied }
func (m *Matcher) Decide(r *Request) Decision                 { return Decision{} }
func (d *Decision) Permits(addr netip.Addr, port uint16) bool { return false }

// NormalizePath gives the path that rules are matched against and that must be forwarded.
func NormalizePath(escaped string, allowEncodedSlash bool) (string, error) {
	return "", errors.New("todo")
}
