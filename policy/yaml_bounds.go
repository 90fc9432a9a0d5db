package policy

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds on a document before anything is built from it. They hold for every
// source, and a hostile image cannot raise them.
const (
	maxDocumentBytes = 4 << 20 // the format's own bound
	maxStructure     = 400_000 // lines, colons, commas and brackets: a file of 10,000 rules has 300,000
	maxDepth         = 32      // nesting; the format needs 10
	maxIndent        = 256     // blanks before a line's text
	maxErrorExcerpt  = 4 << 10 // bytes of one line that an excerpt looks at
)

// source is the text of a document, kept for excerpts.
type source struct {
	name  string
	data  []byte
	lines []int // byte offset of each line, made when first needed
}

// at makes a position in this source.
func (s *source) at(line, column int) Position {
	return Position{File: s.name, Line: line, Column: max(column, 1)}
}

// errorAt makes an error with its excerpt.
func (s *source) errorAt(at Position, fix, format string, args ...any) *Error {
	e := &Error{At: at, Msg: fmt.Sprintf(format, args...), Fix: fix}
	if at.Line > 0 {
		e.Excerpt = excerpt(s.line(at.Line), at.Column)
	}
	return e
}

// line gives the n-th line, from 1, cut to a bound.
func (s *source) line(n int) string {
	if s.lines == nil {
		s.lines = append(s.lines, 0)
		for i, c := range s.data {
			if c == '\n' {
				s.lines = append(s.lines, i+1)
			}
		}
	}
	if n < 1 || n > len(s.lines) {
		return ""
	}
	rest := s.data[s.lines[n-1]:]
	if end := bytes.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
	}
	return strings.TrimRight(string(rest[:min(len(rest), maxErrorExcerpt)]), "\r")
}

// bound refuses what must not reach the scanner at all: its cost is linear, but
// it reads a whole document before it answers.
func (s *source) bound() *Error {
	if len(s.data) > maxDocumentBytes {
		return &Error{At: Position{File: s.name}, Msg: fmt.Sprintf("a policy may have %d bytes at most, this one has %d", maxDocumentBytes, len(s.data))}
	}
	if bytes.HasPrefix(s.data, []byte{0xfe, 0xff}) || bytes.HasPrefix(s.data, []byte{0xff, 0xfe}) {
		return &Error{At: Position{File: s.name}, Msg: "the file is UTF-16", Fix: "save it as UTF-8"}
	}
	s.data = bytes.TrimPrefix(s.data, []byte("\xef\xbb\xbf"))
	if i := bytes.IndexByte(s.data, 0); i >= 0 {
		return s.errorAt(s.offset(i), "", "NUL byte")
	}
	if !utf8.Valid(s.data) {
		return s.errorAt(s.offset(firstInvalid(s.data)), "save the file as UTF-8", "not UTF-8")
	}
	return s.boundStructure()
}

// boundStructure counts what makes tokens, and the depth of flow collections.
// Quotes and comments are told apart only roughly, so the depth starts again at
// every line that starts in the first column.
func (s *source) boundStructure() *Error {
	structure, depth, dashes, start := 0, 0, 0, 0
	quote, previous := byte(0), byte('\n')
	for i, c := range s.data {
		switch c {
		case '\n':
			structure++
			start = i + 1
		case ',', ':':
			structure++
		case '[', '{', ']', '}':
			structure++
			if quote == 0 {
				depth += flowStep(c)
			}
		case '"', '\'':
			switch {
			case quote == c:
				quote = 0
			case quote == 0 && strings.IndexByte(" [{,:\n-", previous) >= 0:
				quote = c
			}
		}
		switch {
		case c == '-' && (previous == ' ' || previous == '\n'):
			dashes++
		case c != ' ' && c != '-':
			dashes = 0
		}
		if previous == '\n' && c > ' ' && flowStep(c) == 0 && quote == 0 {
			depth = 0
		}
		if structure > maxStructure {
			return s.errorAt(s.offset(i), "split the policy", "the document has too many items (more than %d)", maxStructure)
		}
		if c != ' ' && previous == ' ' && i-start > maxIndent && len(bytes.TrimLeft(s.data[start:i], " ")) == 0 {
			depth = 2*maxDepth + 1
		}
		if depth > 2*maxDepth || dashes > maxDepth {
			return s.errorAt(s.offset(i), "", "nested deeper than %d", maxDepth)
		}
		previous = c
	}
	return nil
}

// flowStep says how a byte changes the depth of flow collections.
func flowStep(c byte) int {
	switch c {
	case '[', '{':
		return 1
	case ']', '}':
		return -1
	}
	return 0
}

// offset turns a byte offset into a position.
func (s *source) offset(i int) Position {
	line := 1 + bytes.Count(s.data[:i], []byte{'\n'})
	start := bytes.LastIndexByte(s.data[:i], '\n') + 1
	return s.at(line, 1+utf8.RuneCount(s.data[start:i]))
}

// firstInvalid gives the offset of the first byte that is not UTF-8.
func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}
