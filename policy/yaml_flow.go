package policy

import "github.com/goccy/go-yaml/token"

// inline reads a scalar or a flow collection.
func (r *reader) inline() (*node, *Error) {
	t := r.peek()
	r.next++
	switch t.Type {
	case token.SequenceStartType:
		return r.flowList(t)
	case token.MappingStartType:
		return r.flowMap(t)
	case token.LiteralType, token.FoldedType:
		text := r.peek()
		if text == nil || text.Type != token.StringType {
			return &node{kind: kindString, at: r.position(t), quoted: true}, nil
		}
		r.next++
		return &node{kind: kindString, at: r.position(t), text: text.Value, quoted: true}, nil
	}
	if !isScalar(t) {
		return nil, r.fail(t, "", "unexpected %s", describe(t))
	}
	return r.scalar(t), nil
}

func (r *reader) flowList(open *token.Token) (*node, *Error) {
	if err := r.enter(open); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	list := &node{kind: kindList, at: r.position(open)}
	for {
		t := r.peek()
		if t == nil {
			return nil, r.fail(open, `close it with "]"`, "the list is not closed")
		}
		if t.Type == token.SequenceEndType {
			r.next++
			return list, nil
		}
		item, err := r.flowItem()
		if err != nil {
			return nil, err
		}
		list.items = append(list.items, item)
		if err := r.comma(open, token.SequenceEndType); err != nil {
			return nil, err
		}
	}
}

// flowItem reads one item of a flow list; "[a: b]" is refused rather than read
// as a map of one key.
func (r *reader) flowItem() (*node, *Error) {
	if t := r.peek(); r.startsKey(t) {
		return nil, r.fail(t, "put it in braces: {key: value}", "a key inside a list")
	}
	return r.inline()
}

// comma takes the comma after an item, or leaves the closing bracket.
func (r *reader) comma(open *token.Token, end token.Type) *Error {
	t := r.peek()
	switch {
	case t == nil:
		return r.fail(open, "close the bracket", "the collection is not closed")
	case t.Type == end:
		return nil
	case t.Type == token.CollectEntryType:
		r.next++
		return nil
	}
	return r.fail(t, "separate items by commas", "unexpected %s", describe(t))
}

func (r *reader) flowMap(open *token.Token) (*node, *Error) {
	if err := r.enter(open); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	m := &node{kind: kindMap, at: r.position(open)}
	seen := map[string]Position{}
	for {
		t := r.peek()
		if t == nil {
			return nil, r.fail(open, `close it with "}"`, "the map is not closed")
		}
		if t.Type == token.MappingEndType {
			r.next++
			return m, nil
		}
		if !r.startsKey(t) {
			return nil, r.fail(t, "write key: value", "unexpected %s", describe(t))
		}
		if err := r.key(m, t, seen); err != nil {
			return nil, err
		}
		r.next += 2
		value, err := r.flowValue(t)
		if err != nil {
			return nil, err
		}
		m.entries[len(m.entries)-1].value = value
		if err := r.comma(open, token.MappingEndType); err != nil {
			return nil, err
		}
	}
}

// flowValue reads the value after a key in braces; it may be empty.
func (r *reader) flowValue(key *token.Token) (*node, *Error) {
	t := r.peek()
	if t == nil || t.Type == token.CollectEntryType || t.Type == token.MappingEndType {
		return &node{kind: kindNull, at: r.position(key)}, nil
	}
	return r.flowItem()
}
