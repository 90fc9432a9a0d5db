package policy

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/parser"
)

//go:embed schema.json
var schemaFile string

// Schema gives the JSON Schema (draft 2020-12) of policies, for editors. It
// checks less than Parse: patterns, hosts and what depends on several fields
// are left to lint.
func Schema() []byte { return []byte(schemaFile) }

// FormatSource gives a policy's text in one style, comments kept: two blanks of
// indentation, no trailing blanks, one newline at the end. The result means the
// same, or an error is returned.
func FormatSource(name string, data []byte) ([]byte, error) {
	before, _, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(data, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("formatting %s: %w", name, err)
	}
	lines := strings.Split(file.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	text := strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
	after, _, err := Parse(name, []byte(text))
	if err != nil || !sameMeaning(before, after) {
		return nil, errors.New("formatting " + name + ": the text would mean something else; it is left alone")
	}
	return []byte(text), nil
}

// sameMeaning compares all but positions.
func sameMeaning(a, b *Document) bool { return withoutPositions(a) == withoutPositions(b) }

func withoutPositions(d *Document) string {
	w := &writer{}
	w.document(d)
	return w.b.String()
}
