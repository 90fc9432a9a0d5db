package policy

import (
	"errors"
	"io"
	"strings"

	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// kind is what a node is.
type kind uint8

const (
	kindNull kind = iota
	kindString
	kindInt
	kindBool
	kindFloat
	kindMap
	kindList
)

// node is one value of the YAML subset that policies are written in: maps with
// scalar keys, lists, scalars. No anchors, aliases, tags, merge keys,
// directives or further documents, so a document is never larger than its text.
type node struct {
	kind    kind
	at      Position
	text    string // scalar as written, unquoted
	quoted  bool
	entries []entry // kindMap
	items   []*node // kindList
}

// entry is one key of a map.
type entry struct {
	key   string
	at    Position
	value *node
}

// reader builds nodes from the scanner's tokens. The library's own parser is
// not used: it takes quadratic time for a map of many keys and recurses once
// per key, which is too much for a document that an image brings.
type reader struct {
	src    *source
	tokens []*token.Token
	next   int
	depth  int
}

// readYAML gives the root of a document, or the first error of its syntax.
func readYAML(src *source) (*node, *Error) {
	if err := src.bound(); err != nil {
		return nil, err
	}
	r := &reader{src: src}
	if err := r.scan(); err != nil {
		return nil, err
	}
	if t := r.peek(); t == nil {
		return &node{kind: kindNull, at: src.at(1, 1)}, nil
	}
	root, err := r.block(0)
	if err != nil {
		return nil, err
	}
	if t := r.peek(); t != nil {
		return nil, r.fail(t, "indent it like the keys above", "unexpected %s", describe(t))
	}
	return root, nil
}

// scan reads all tokens and refuses the parts of YAML that policies do not have.
func (r *reader) scan() *Error {
	var s scanner.Scanner
	s.Init(string(r.src.data))
	for {
		tokens, err := s.Scan()
		if errors.Is(err, io.EOF) {
			return nil
		}
		for _, t := range tokens {
			if err := r.keep(t); err != nil {
				return err
			}
		}
		if err != nil {
			return r.src.errorAt(r.src.at(1, 1), "", "reading YAML: %v", err)
		}
	}
}

// keep takes one token, or refuses it.
func (r *reader) keep(t *token.Token) *Error {
	switch t.Type {
	case token.CommentType, token.SpaceType:
		return nil
	case token.DocumentHeaderType:
		if len(r.tokens) == 0 {
			return nil
		}
		return r.fail(t, "keep one document per file", "a second document")
	case token.DocumentEndType:
		return nil
	case token.AliasType:
		return r.fail(t, `quote a pattern that starts with an asterisk: "*"`, "aliases are not accepted")
	case token.AnchorType:
		return r.fail(t, "write the value out", "anchors are not accepted")
	case token.TagType:
		return r.fail(t, "leave the tag away", "tags are not accepted")
	case token.MergeKeyType:
		return r.fail(t, "write the keys out", "merge keys are not accepted")
	case token.DirectiveType, token.MappingKeyType:
		return r.fail(t, "", "%q is not accepted here", t.Value)
	case token.InvalidType:
		if strings.Contains(t.Error, "\t") {
			return r.fail(t, "indent by blanks", "a tab character cannot start anything")
		}
		return r.fail(t, "", "%s", printable(t.Error))
	}
	r.tokens = append(r.tokens, t)
	return nil
}

func (r *reader) peek() *token.Token {
	if r.next < len(r.tokens) {
		return r.tokens[r.next]
	}
	return nil
}

// peekAfter gives the token after the next one.
func (r *reader) peekAfter() *token.Token {
	if r.next+1 < len(r.tokens) {
		return r.tokens[r.next+1]
	}
	return nil
}

func (r *reader) position(t *token.Token) Position {
	return r.src.at(t.Position.Line, t.Position.Column)
}

func (r *reader) fail(t *token.Token, fix, format string, args ...any) *Error {
	return r.src.errorAt(r.position(t), fix, format, args...)
}

// enter bounds the recursion; leave with a deferred decrement.
func (r *reader) enter(t *token.Token) *Error {
	r.depth++
	if r.depth > maxDepth {
		return r.fail(t, "", "nested deeper than %d", maxDepth)
	}
	return nil
}

// block reads a node in block context whose column must be greater than indent.
func (r *reader) block(indent int) (*node, *Error) {
	t := r.peek()
	if err := r.enter(t); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	if t.Position.Column <= indent && !isBlockScalar(t) {
		return nil, r.fail(t, "", "unexpected %s", describe(t))
	}
	switch {
	case t.Type == token.SequenceEntryType:
		return r.blockList(t.Position.Column)
	case r.startsKey(t):
		return r.blockMap(t.Position.Column)
	}
	return r.inline()
}

// startsKey reports whether a token is a scalar with a colon after it.
func (r *reader) startsKey(t *token.Token) bool {
	after := r.peekAfter()
	return isScalar(t) && after != nil && after.Type == token.MappingValueType && after.Position.Line == t.Position.Line
}

func (r *reader) blockList(column int) (*node, *Error) {
	list := &node{kind: kindList, at: r.position(r.peek())}
	for {
		t := r.peek()
		if t == nil || t.Type != token.SequenceEntryType || t.Position.Column != column {
			return list, nil
		}
		r.next++
		item, err := r.valueAfter(t, column, false)
		if err != nil {
			return nil, err
		}
		list.items = append(list.items, item)
	}
}

func (r *reader) blockMap(column int) (*node, *Error) {
	m := &node{kind: kindMap, at: r.position(r.peek())}
	seen := map[string]Position{}
	for {
		t := r.peek()
		if t == nil || t.Position.Column != column || !r.startsKey(t) {
			return m, r.misplaced(t, column)
		}
		colon := r.peekAfter()
		if err := r.key(m, t, seen); err != nil {
			return nil, err
		}
		r.next += 2
		value, err := r.valueAfter(colon, column, true)
		if err != nil {
			return nil, err
		}
		if at := r.position(t); value.at.Line > at.Line {
			value.at = at // a section is where its name is
		}
		m.entries[len(m.entries)-1].value = value
	}
}

// misplaced refuses a token that continues a map at a deeper column; what lies
// at a lower column is left to the caller.
func (r *reader) misplaced(t *token.Token, column int) *Error {
	if t == nil || t.Position.Column < column {
		return nil
	}
	if t.Position.Column == column && t.Type == token.SequenceEntryType {
		return nil
	}
	return r.fail(t, "indent it like the keys above", "unexpected %s", describe(t))
}

// key adds an entry for the key token, once.
func (r *reader) key(m *node, t *token.Token, seen map[string]Position) *Error {
	if before, twice := seen[t.Value]; twice {
		return r.fail(t, "keep one of them", "the key %q is already set at line %d", printable(t.Value), before.Line)
	}
	at := r.position(t)
	seen[t.Value] = at
	m.entries = append(m.entries, entry{key: t.Value, at: at})
	return nil
}

// valueAfter reads what follows a "-" or ":" whose collection is at column.
// After a key, a list may start in the key's own column.
func (r *reader) valueAfter(mark *token.Token, column int, afterKey bool) (*node, *Error) {
	t := r.peek()
	null := &node{kind: kindNull, at: r.position(mark)}
	if t == nil {
		return null, nil
	}
	if t.Position.Line == mark.Position.Line && !afterKey {
		return r.block(column)
	}
	if t.Position.Line == mark.Position.Line {
		if t.Type == token.SequenceEntryType || r.startsKey(t) {
			return nil, r.fail(t, "start a new line, or quote the value", "unexpected %s", describe(t))
		}
		return r.inline()
	}
	if t.Position.Column > column || isBlockScalar(t) {
		return r.block(column)
	}
	if afterKey && t.Position.Column == column && t.Type == token.SequenceEntryType {
		return r.blockList(column)
	}
	return null, nil
}

func (r *reader) scalar(t *token.Token) *node {
	n := &node{kind: kindString, at: r.position(t), text: t.Value}
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
		n.quoted = true
	case token.NullType, token.ImplicitNullType:
		n.kind = kindNull
	case token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType:
		n.kind = kindInt
	case token.FloatType, token.InfinityType, token.NanType:
		n.kind = kindFloat
	case token.BoolType:
		n.kind = kindBool
	}
	return n
}

func isBlockScalar(t *token.Token) bool {
	return t.Type == token.LiteralType || t.Type == token.FoldedType
}

// isScalar reports whether a token can be a key or a value by itself.
func isScalar(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType, token.NullType, token.ImplicitNullType,
		token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType,
		token.FloatType, token.InfinityType, token.NanType, token.BoolType:
		return true
	}
	return false
}

// describe names a token for an error.
func describe(t *token.Token) string {
	if isScalar(t) {
		return `"` + printable(strings.TrimSpace(t.Value)) + `"`
	}
	return `"` + printable(t.Value) + `"`
}
