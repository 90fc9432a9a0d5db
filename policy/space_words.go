package policy

import (
	"net/url"
	"strings"
)

// paths gives a path for each way in which the rules and selectors can match.
func paths(relevant []*endpoint) ([]string, error) {
	a := &automaton{}
	plain := printableExcept(`/%;\#?`)
	var globs, selectors = map[string]*glob{}, map[string]bool{}
	escapes := map[string]bool{"%20": true, "%2F": true}
	for _, e := range relevant {
		if e.selector != nil {
			selectors[e.selector.pattern] = true
			if e.selector.base != "" {
				selectors[e.selector.base] = true
			}
			escapesIn(e.selector.pattern, escapes)
		}
		for i, list := range [][]Rule{e.Rules, e.DenyRules} {
			for j := range list {
				compiled := [][]ruleMatch{e.allows, e.denies}[i][j]
				if compiled.path != nil {
					globs[list[j].Path] = compiled.path
					escapesIn(canonicalPathPattern(list[j].Path), escapes)
				}
			}
		}
	}
	whole := printableExcept("")
	var patterns []fragment
	for _, k := range sortedKeys(globs) {
		patterns = append(patterns, a.glob(globs[k], whole))
	}
	for _, k := range sortedKeys(selectors) {
		patterns = append(patterns, a.wild(k, whole))
	}
	encoded := a.then(a.many(a.one(whole)), a.text("%2F"), a.many(a.one(whole)))
	patterns = append(patterns, encoded)
	return a.representatives(a.paths(plain, sortedKeys(escapes)), patterns)
}

// paths is the language of normalised paths.
func (a *automaton) paths(plain byteSet, escapes []string) fragment {
	character := func(s byteSet) fragment {
		parts := []fragment{a.one(s)}
		for _, e := range escapes {
			parts = append(parts, a.text(e))
		}
		return a.either(parts...)
	}
	undotted := without(plain, '.')
	tail := func() fragment { return a.many(character(plain)) }
	segment := func() fragment {
		return a.either(
			a.then(character(undotted), tail()),
			a.then(a.text("."), character(undotted), tail()),
			a.then(a.text(".."), character(plain), tail()),
		)
	}
	return a.then(a.text("/"), a.maybe(a.then(segment(), a.many(a.then(a.text("/"), segment())), a.maybe(a.text("/")))))
}

func escapesIn(pattern string, into map[string]bool) {
	for i := 0; i+2 < len(pattern); i++ {
		if _, ok := unhex(pattern, i); ok && pattern[i] == '%' {
			into[pattern[i:i+3]] = true
		}
	}
}

// words gives values for each way in which name patterns can match.
func words(globs []*glob) ([]string, error) {
	a := &automaton{}
	alphabet := printableExcept("")
	var patterns []fragment
	for _, g := range globs {
		patterns = append(patterns, a.glob(g, alphabet))
	}
	return a.representatives(a.many(a.one(alphabet)), patterns)
}

// subsets gives the subsets of a few words, and of many the single ones, the
// pairs and the whole.
func subsets(list []string) [][]string {
	var out [][]string
	if len(list) <= 6 {
		for mask := range 1 << len(list) {
			var set []string
			for i, w := range list {
				if mask&(1<<i) != 0 {
					set = append(set, w)
				}
			}
			out = append(out, set)
		}
		return out
	}
	out = append(out, nil, list)
	for i, w := range list {
		out = append(out, []string{w})
		for _, v := range list[:i] {
			out = append(out, []string{w, v})
		}
	}
	return out
}

// queries gives query strings for each way in which query rules can match.
func queries(relevant []*endpoint) ([]string, error) {
	keys := map[string][]*glob{}
	for _, e := range relevant {
		for _, list := range [][]ruleMatch{e.allows, e.denies} {
			for _, r := range list {
				for _, q := range r.query {
					keys[q.key] = append(keys[q.key], q.any...)
				}
			}
		}
	}
	out := []string{""}
	for _, key := range sortedKeys(keys) {
		values, err := words(keys[key])
		if err != nil {
			return nil, err
		}
		var next []string
		for _, before := range out {
			for _, set := range subsets(values) {
				q := before
				for _, v := range set {
					q = strings.TrimPrefix(q+"&"+url.QueryEscape(key)+"="+url.QueryEscape(v), "&")
				}
				next = append(next, q)
			}
		}
		if out = next; len(out) > 4096 {
			return nil, errTooComplex
		}
	}
	return out, nil
}
