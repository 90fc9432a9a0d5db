package policy

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxLabel bounds what is read from a label or an annotation, in bytes. Larger
// policies belong in a file.
const maxLabel = 256 << 10

// LabelKind says how a label gives its policy.
type LabelKind uint8

// The kinds of labels.
const (
	LabelInline  LabelKind = iota + 1 // Data is the document
	LabelName                         // Names[0] is a policy on the host
	LabelPresets                      // Names are presets
)

// Label is the decoded value of io.nemoclaw.policy.
type Label struct {
	Kind  LabelKind
	Data  []byte // of LabelInline
	Names []string
}

// ParseLabel decodes a label's value: inline YAML, base64 of it (standard or
// URL alphabet, padded or not, because quotes in a label get lost on some
// ways), "preset:a,b", or the name of a policy on the host. It does not parse
// the document and opens nothing.
func ParseLabel(value string) (Label, error) {
	if len(value) > maxLabel {
		return Label{}, fmt.Errorf("reading the policy label: %d bytes, at most %d are read; put a larger policy in a file of the image", len(value), maxLabel)
	}
	value = strings.TrimSpace(value)
	switch {
	case value == "":
		return Label{}, fmt.Errorf("reading the policy label: it is empty")
	case strings.HasPrefix(value, "preset:"):
		names, err := SplitNames(strings.TrimPrefix(value, "preset:"))
		if err != nil {
			return Label{}, fmt.Errorf("reading the policy label: %w", err)
		}
		return Label{Kind: LabelPresets, Names: names}, nil
	case strings.ContainsAny(value, ":\n{"):
		return Label{Kind: LabelInline, Data: []byte(value + "\n")}, nil
	}
	if data, ok := decodeBase64(value); ok {
		return Label{Kind: LabelInline, Data: data}, nil
	}
	if !isName(value) {
		return Label{}, fmt.Errorf("reading the policy label: it is neither YAML, base64 of YAML, preset:… nor a policy's name: %q", printable(value))
	}
	return Label{Kind: LabelName, Names: []string{value}}, nil
}

// decodeBase64 accepts only what decodes to text with a key in it, so that a
// name made of base64's letters stays a name.
func decodeBase64(value string) ([]byte, bool) {
	compact := strings.Map(func(r rune) rune {
		if r == ' ' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, value)
	compact = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(compact), "=")
	data, err := base64.RawStdEncoding.DecodeString(compact)
	if err != nil || !utf8.Valid(data) || !strings.Contains(string(data), ":") {
		return nil, false
	}
	return data, true
}

// SplitNames splits "a,b" into names, each once.
func SplitNames(list string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		if !isName(name) {
			return nil, fmt.Errorf("%q is not a name", printable(name))
		}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	if len(out) > 64 {
		return nil, fmt.Errorf("%d names, at most 64 are taken", len(out))
	}
	return out, nil
}

// isName accepts what can be the stem of a file's name and nothing that leads
// out of its directory.
func isName(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
