package policy

import "strconv"

// Position is a place in a policy file. Line and Column count from 1; a zero
// Line means that the item was not written in a file (a built-in default).
type Position struct {
	File   string `json:"file,omitempty"`   // as given to Parse
	Line   int    `json:"line,omitempty"`   // from 1
	Column int    `json:"column,omitempty"` // from 1, in characters
}

// String gives "file:line", what audit records and explanations print.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Long gives "file:line:column", what errors print.
func (p Position) Long() string {
	if p.Line == 0 {
		return p.File
	}
	return p.String() + ":" + strconv.Itoa(p.Column)
}

// IsZero reports whether nothing is known about where the item was written.
func (p Position) IsZero() bool { return p == Position{} }
