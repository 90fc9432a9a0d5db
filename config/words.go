package config

import (
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// kindOf names a YAML node in a person's words.
func kindOf(n ast.Node) string {
	if n == nil {
		return "nothing"
	}
	switch n.Type() {
	case ast.NullType:
		return "nothing"
	case ast.StringType, ast.LiteralType:
		return "text"
	case ast.BoolType:
		return "true or false"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.AnchorType:
		return "an anchor (&), which is not taken here"
	case ast.AliasType:
		return "an alias (*), which is not taken here"
	case ast.MergeKeyType:
		return "a merge key (<<), which is not taken here"
	case ast.TagType:
		return "a tag (!), which is not taken here"
	}
	return "a YAML " + strings.ToLower(n.Type().String())
}

// suggest names the known key that is nearest to key, or lists them all.
func suggest(key string, keys map[string]setter) string {
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	if len(key) <= 64 {
		for _, k := range names {
			if distance(key, k) <= 1+len(key)/5 {
				return "did you mean " + k + "?"
			}
		}
	}
	return "known are " + strings.Join(names, ", ")
}

// distance is the Levenshtein distance of two short ASCII words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// bound makes text of a file fit for an error: at most 200 characters, nothing
// that drives a terminal.
func bound(s string) string {
	const limit = 200
	out := make([]rune, 0, min(len(s), limit))
	for _, r := range s {
		if len(out) == limit {
			return string(out) + "…"
		}
		if r != '\t' && !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		out = append(out, r)
	}
	return string(out)
}
