package policy

import (
	"fmt"
	"strings"
)

// maxErrors bounds how many mistakes one Parse reports.
const maxErrors = 50

// Error is one mistake in a document.
type Error struct {
	At      Position `json:"at"`
	Msg     string   `json:"msg"`               // what is wrong
	Fix     string   `json:"fix,omitempty"`     // what to write instead; may be empty
	Excerpt string   `json:"excerpt,omitempty"` // the line and a caret below it; may be empty
}

// Error gives "file:line:column: message", the fix, and the excerpt.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.At.Long() + ": " + e.Msg)
	if e.Fix != "" {
		b.WriteString("\n  fix: " + e.Fix)
	}
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

// Errors are all mistakes found in one run, in the order of the file.
type Errors []*Error

// Error joins the messages by newlines.
func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, one := range e {
		parts[i] = one.Error()
	}
	return strings.Join(parts, "\n")
}

// Unwrap lets errors.As find a single *Error.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

// Warning is something worth a look that does not stop the document.
type Warning struct {
	At   Position `json:"at"`
	Code string   `json:"code"` // stable, for programs: see Lint
	Msg  string   `json:"msg"`
	Fix  string   `json:"fix,omitempty"`
	Note bool     `json:"note,omitempty"` // worth knowing, but good policies have it too
}

// String gives "file:line:column: warning: message (code)".
func (w Warning) String() string {
	kind := "warning"
	if w.Note {
		kind = "note"
	}
	s := fmt.Sprintf("%s: %s: %s (%s)", w.At.Long(), kind, w.Msg, w.Code)
	if w.Fix != "" {
		s += "\n  fix: " + w.Fix
	}
	return s
}

// Clamp is one thing that a ceiling took away from a document.
type Clamp struct {
	At   Position `json:"at"`   // in the document
	What string   `json:"what"` // what is gone or smaller
	Why  string   `json:"why"`  // which part of the ceiling says so
}

// String gives "file:line: what: why".
func (c Clamp) String() string { return c.At.String() + ": " + c.What + ": " + c.Why }

// excerpt shows one line of the source with a caret. Control characters are
// replaced, because the text may come from a hostile image.
func excerpt(line string, column int) string {
	const width = 120
	runes := []rune(line)
	start := 0
	if column > width-20 {
		start = min(column-width/2, len(runes))
	}
	runes = runes[start:min(len(runes), start+width)]
	for i, r := range runes {
		if unsafeRune(r) {
			runes[i] = '·'
		}
	}
	caret := max(column-1-start, 0)
	return "  | " + string(runes) + "\n  | " + strings.Repeat(" ", caret) + "^"
}

// unsafeRune reports control, escape and bidirectional marks, which could
// forge what a terminal shows.
func unsafeRune(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xfffd, r == 0xfeff:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x2069:
		return true
	}
	return false
}

// printable gives s for a message: bounded and without marks that could forge
// the output.
func printable(s string) string {
	const most = 80
	out := make([]rune, 0, min(len(s), most))
	for _, r := range s {
		if len(out) == most {
			return string(out) + "…"
		}
		if unsafeRune(r) {
			r = '·'
		}
		out = append(out, r)
	}
	return string(out)
}

// nearest gives the word of the list that s was probably meant to be, or "".
func nearest(s string, words []string) string {
	best, bestDistance := "", 4
	for _, w := range words {
		if d := distance(s, w); d < bestDistance && d < len(w) {
			best, bestDistance = w, d
		}
	}
	return best
}

// distance is the Levenshtein distance, capped by length so that a hostile key
// costs nothing.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
