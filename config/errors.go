package config

import (
	"fmt"
	"strings"
)

// Error is one thing wrong in a configuration file.
type Error struct {
	File    string
	Line    int    // from 1; 0 when the fault has no place
	Column  int    // from 1
	Msg     string // what is wrong
	Fix     string // what to do about it; may be empty
	Excerpt string // the line of the file; may be empty
}

// Error returns one line: the place, what is wrong, and the fix.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": " + e.Msg)
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// Show returns the line of the file with a mark below the fault, each line
// indented by four blanks, or "" when there is none. Tabs are kept, so that the
// mark stays in place.
func (e *Error) Show() string {
	if e.Excerpt == "" {
		return ""
	}
	number := fmt.Sprintf("%d | ", e.Line)
	pad := make([]rune, 0, e.Column)
	for i, r := range []rune(e.Excerpt) {
		if i >= e.Column-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		pad = append(pad, r)
	}
	return fmt.Sprintf("    %s%s\n    %s%s^\n", number, e.Excerpt, strings.Repeat(" ", len(number)), string(pad))
}
