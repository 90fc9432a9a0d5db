// Package daemonjson edits Docker's daemon.json as text: what it does not
// change, it leaves byte for byte as it was, key order, indentation and all.
// Decoding and encoding again would keep none of that.
package daemonjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxSize bounds the file, in bytes.
const MaxSize = 4 << 20

// node is one JSON value and where it stands in the text.
type node struct {
	start, end int
	object     bool
	members    []member
}

// member is one key and value of an object.
type member struct {
	key      string
	keyStart int
	value    node
}

func (n *node) find(key string) *member {
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

// parse reads the outline of a JSON text: objects and their members; all else
// is a span of bytes. The text must be one object.
func parse(text []byte) (node, error) {
	if len(text) > MaxSize {
		return node{}, fmt.Errorf("the file has %d bytes, more than %d", len(text), MaxSize)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return node{}, at(text, err)
	}
	// From here on the text is known to be valid JSON: the outline needs no checks.
	p := parser{text: text}
	p.blanks()
	if p.text[p.pos] != '{' {
		return node{}, errors.New("the file holds no JSON object")
	}
	root := p.value()
	if p.twice != "" {
		return node{}, fmt.Errorf("key %q is given twice", p.twice)
	}
	return root, nil
}

// at adds line and column to the decoder's error.
func at(text []byte, err error) error {
	var offset int64
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	before := string(text[:min(int(offset), len(text))])
	line := strings.Count(before, "\n") + 1
	column := len(before) - strings.LastIndexByte(before, '\n') - 1
	return fmt.Errorf("line %d, column %d: %w", line, max(column, 1), err)
}

// parser walks over valid JSON.
type parser struct {
	text  []byte
	pos   int
	twice string // a key given twice
}

func (p *parser) blanks() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) value() node {
	n := node{start: p.pos}
	switch p.text[p.pos] {
	case '{':
		n.object = true
		p.object(&n)
	case '[':
		p.array()
	case '"':
		p.str()
	default:
		for p.pos < len(p.text) && strings.IndexByte(" \t\r\n,]}", p.text[p.pos]) < 0 {
			p.pos++
		}
	}
	n.end = p.pos
	return n
}

func (p *parser) object(n *node) {
	p.pos++
	for p.blanks(); p.text[p.pos] != '}'; p.blanks() {
		if p.text[p.pos] == ',' {
			p.pos++
			p.blanks()
		}
		m := member{keyStart: p.pos}
		m.key = p.str()
		p.blanks()
		p.pos++ // the colon
		p.blanks()
		m.value = p.value()
		if n.find(m.key) != nil {
			p.twice = m.key
		}
		n.members = append(n.members, m)
	}
	p.pos++
}

func (p *parser) array() {
	p.pos++
	for p.blanks(); p.text[p.pos] != ']'; p.blanks() {
		if p.text[p.pos] == ',' {
			p.pos++
			p.blanks()
		}
		p.value()
	}
	p.pos++
}

func (p *parser) str() string {
	start := p.pos
	for p.pos++; p.text[p.pos] != '"'; p.pos++ {
		if p.text[p.pos] == '\\' {
			p.pos++
		}
	}
	p.pos++
	var s string
	// It is a valid JSON string: Unmarshal of the whole text said so.
	_ = json.Unmarshal(p.text[start:p.pos], &s)
	return s
}
