package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/config"
)

// term is an output for people. Colours only on a terminal.
type term struct {
	w      io.Writer
	colour bool
}

func newTerm(w io.Writer) *term {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return &term{w: w}
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return &term{w: w, colour: err == nil}
}

func (t *term) printf(format string, args ...any) {
	fmt.Fprintf(t.w, format, args...)
}

// style is a colour's SGR number (ECMA-48).
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// paint returns s in a style, where the terminal takes it.
func (t *term) paint(s string, in style) string {
	if !t.colour || in == plain || s == "" {
		return s
	}
	return "\x1b[" + string(in) + "m" + s + "\x1b[0m"
}

// heading prints a section's name.
func (t *term) heading(s string) { t.printf("%s\n", t.paint(s, bold)) }

// cell is one field of a table.
type cell struct {
	text string
	in   style
}

// table prints rows in columns, two blanks apart. The last column is not padded.
func (t *term) table(indent string, rows [][]cell) {
	var width []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		b.WriteString(indent)
		for i, c := range row {
			b.WriteString(t.paint(c.text, c.in))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		t.printf("%s\n", strings.TrimRight(b.String(), " "))
	}
}

// cells makes a row of plain text.
func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, s := range texts {
		row[i] = cell{text: s}
	}
	return row
}

// json prints v, indented.
func (t *term) json(v any) error {
	enc := json.NewEncoder(t.w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// clean makes text that an agent, an image or a server chose fit for a terminal.
func clean(s string) string { return audit.Clean(s, 512) }

// hinted is an error with advice for a person.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// hint adds advice to an error; nil stays nil.
func hint(err error, advice string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, advice}
}

// report prints an error, the place in a file that it is about, and a hint.
func (p *program) report(err error) {
	if errors.Is(err, errUnwell) {
		return
	}
	for _, e := range split(err) {
		p.err.printf("%s %s\n", p.err.paint("nemoclaw:", red), e)
		var c *config.Error
		if errors.As(e, &c) {
			p.err.printf("%s", c.Show())
		}
	}
	var h *hinted
	if errors.As(err, &h) {
		p.err.printf("%s %s\n", p.err.paint("hint:", dim), h.hint)
	}
}

// split takes joined errors apart.
func split(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, split(e)...)
		}
		return all
	}
	return []error{err}
}
