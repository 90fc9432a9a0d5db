package daemonjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Runtime is an entry of daemon.json's "runtimes".
type Runtime struct {
	Path string   `json:"path"`
	Args []string `json:"runtimeArgs,omitempty"`
}

// defaultKey names the runtime of containers that ask for none.
const defaultKey = "default-runtime"

// Register returns the text with the runtime under the given name, and as
// default runtime if makeDefault is set. An empty text stands for a file that is
// not there. The text comes back as it was when nothing has to change.
func Register(text []byte, name string, r Runtime, makeDefault bool) ([]byte, error) {
	text, err := set(text, []string{"runtimes", name}, r)
	if err != nil || !makeDefault {
		return text, err
	}
	return set(text, []string{defaultKey}, name)
}

// engineDefault is the runtime that Docker itself takes for its default.
const engineDefault = "runc"

// Unregister returns the text without the runtime of that name, and without a
// "runtimes" that is thereby empty. Where the runtime is the default, that
// becomes runc: without the key a running engine would keep the old one when it
// reads the file again, and refuse the whole file because it is gone (tried on
// 29).
func Unregister(text []byte, name string) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return text, nil
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	if m := root.find(defaultKey); m != nil && textEqual(text, m.value, name) {
		if text, err = splice(text, m.value.start, m.value.end, quote(engineDefault)); err != nil {
			return nil, err
		}
		if root, err = parse(text); err != nil {
			return nil, err
		}
	}
	runtimes := root.find("runtimes")
	if runtimes == nil || runtimes.value.find(name) == nil {
		return text, nil
	}
	if len(runtimes.value.members) == 1 {
		return remove(text, &root, "runtimes"), nil
	}
	return remove(text, &runtimes.value, name), nil
}

// Lookup returns the runtime of that name, nil if there is none, and whether it
// is the default.
func Lookup(text []byte, name string) (r *Runtime, isDefault bool, err error) {
	var doc struct {
		Runtimes map[string]Runtime `json:"runtimes"`
		Default  string             `json:"default-runtime"`
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, false, nil
	}
	if _, err := parse(text); err != nil {
		return nil, false, err
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, false, at(text, err)
	}
	if found, ok := doc.Runtimes[name]; ok {
		r = &found
	}
	return r, doc.Default == name, nil
}

// String returns the string at a top-level key; "" if there is none.
func String(text []byte, key string) string {
	var doc map[string]any
	_ = json.Unmarshal(text, &doc) // a broken file has no keys; Lookup says why
	s, _ := doc[key].(string)
	return s
}

// set makes the value at path (of one or two keys) be value.
func set(text []byte, path []string, value any) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{\n}\n")
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	layout := layoutOf(text, &root)
	object, depth := &root, 1
	for ; len(path) > 1; path = path[1:] {
		m := object.find(path[0])
		if m == nil {
			value = map[string]any{path[1]: value}
			path = path[:1]
			break
		}
		if !m.value.object {
			return nil, fmt.Errorf("%q is no object", path[0])
		}
		object, depth = &m.value, depth+1
	}
	if m := object.find(path[0]); m != nil {
		if jsonEqual(text[m.value.start:m.value.end], value) {
			return text, nil
		}
		return splice(text, m.value.start, m.value.end, layout.render(value, depth))
	}
	return insert(text, object, depth, path[0], value, layout)
}

// insert adds a member at the end of an object.
func insert(text []byte, object *node, depth int, key string, value any, l layout) ([]byte, error) {
	entry := quote(key) + ": " + l.render(value, depth)
	if len(object.members) == 0 {
		inner := "\n" + l.margin(depth) + entry + "\n" + l.margin(depth-1)
		if l.flat {
			inner = entry
		}
		return splice(text, object.start+1, object.end-1, inner)
	}
	last := object.members[len(object.members)-1]
	// As the members that are there are separated: by what stands before the last.
	gap := before(text, last.keyStart)
	if !strings.Contains(gap, "\n") {
		gap = " "
	}
	return splice(text, last.value.end, last.value.end, ","+gap+entry)
}

// remove takes the member key out of an object, with one comma.
func remove(text []byte, object *node, key string) []byte {
	i := slices.IndexFunc(object.members, func(m member) bool { return m.key == key })
	m := object.members[i]
	switch {
	case i > 0:
		from := object.members[i-1].value.end
		return slices.Concat(text[:from], text[m.value.end:])
	case len(object.members) > 1:
		to := object.members[i+1].keyStart
		return slices.Concat(text[:m.keyStart], text[to:])
	}
	return slices.Concat(text[:object.start+1], closing(text, object), text[object.end-1:])
}

// closing is what is left between the braces of an object that has lost its only
// member: the line break before the closing brace, if there was one.
func closing(text []byte, object *node) []byte {
	rest := string(text[object.members[0].value.end : object.end-1])
	if i := strings.LastIndexByte(rest, '\n'); i >= 0 {
		return []byte(rest[i:])
	}
	return nil
}

// before returns the blanks that stand in text before pos.
func before(text []byte, pos int) string {
	start := pos
	for start > 0 && strings.IndexByte(" \t\r\n", text[start-1]) >= 0 {
		start--
	}
	return string(text[start:pos])
}

// layout is how a file is indented.
type layout struct {
	flat bool   // all on one line
	unit string // one level
}

// layoutOf takes the indentation of the first key, or else four blanks.
func layoutOf(text []byte, root *node) layout {
	l := layout{unit: "    "}
	if len(root.members) == 0 {
		return l
	}
	gap := before(text, root.members[0].keyStart)
	i := strings.LastIndexByte(gap, '\n')
	switch {
	case i < 0:
		l.flat = true
	case len(gap) > i+1:
		l.unit = gap[i+1:]
	}
	return l
}

func (l layout) margin(depth int) string { return strings.Repeat(l.unit, depth) }

// render writes a value for a key that stands at the given depth.
func (l layout) render(value any, depth int) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !l.flat {
		enc.SetIndent(l.margin(depth), l.unit)
	}
	// The values are structs of strings: encoding cannot fail.
	_ = enc.Encode(value)
	return strings.TrimSuffix(b.String(), "\n")
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// splice replaces text[start:end], and checks that the result is what was meant
// to be: still one valid object.
func splice(text []byte, start, end int, with string) ([]byte, error) {
	out := slices.Concat(text[:start], []byte(with), text[end:])
	if _, err := parse(out); err != nil {
		return nil, errors.Join(errors.New("the edit would leave no valid JSON"), err)
	}
	return out, nil
}

func textEqual(text []byte, n node, s string) bool { return jsonEqual(text[n.start:n.end], s) }

// jsonEqual reports whether a JSON text says what encoding value would say.
func jsonEqual(text []byte, value any) bool {
	encoded, err := json.Marshal(value)
	if err != nil {
		return false
	}
	var a, b any
	if json.Unmarshal(text, &a) != nil || json.Unmarshal(encoded, &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}

// Strings returns the list of strings at a top-level key; nil if there is none.
func Strings(text []byte, key string) []string {
	var doc map[string]any
	_ = json.Unmarshal(text, &doc)
	list, _ := doc[key].([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
