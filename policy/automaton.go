package policy

import (
	"fmt"
	"slices"
	"strings"
)

// maxProofStates bounds the states of one product of patterns.
const maxProofStates = 20_000

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(c byte)     { s[c>>6] |= 1 << (c & 63) }
func (s byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

func setOf(chars string) byteSet {
	var s byteSet
	for i := 0; i < len(chars); i++ {
		s.add(chars[i])
	}
	return s
}

// printableExcept is the graphic ASCII bytes but some.
func printableExcept(chars string) byteSet {
	var s byteSet
	for c := byte(0x21); c < 0x7f; c++ {
		if strings.IndexByte(chars, c) < 0 {
			s.add(c)
		}
	}
	return s
}

// automaton is a nondeterministic automaton; several patterns live in one.
type automaton struct {
	edges   [][]edge
	epsilon [][]int32
}

type edge struct {
	on byteSet
	to int32
}

// fragment is a part with one entry and one exit.
type fragment struct{ in, out int32 }

func (a *automaton) state() int32 {
	a.edges = append(a.edges, nil)
	a.epsilon = append(a.epsilon, nil)
	return int32(len(a.edges) - 1)
}

func (a *automaton) jump(from, to int32) { a.epsilon[from] = append(a.epsilon[from], to) }

func (a *automaton) one(s byteSet) fragment {
	f := fragment{a.state(), a.state()}
	a.edges[f.in] = append(a.edges[f.in], edge{s, f.out})
	return f
}

func (a *automaton) empty() fragment {
	s := a.state()
	return fragment{s, s}
}

func (a *automaton) text(s string) fragment {
	f := a.empty()
	for i := 0; i < len(s); i++ {
		f = a.then(f, a.one(setOf(s[i:i+1])))
	}
	return f
}

func (a *automaton) then(parts ...fragment) fragment {
	for i := 1; i < len(parts); i++ {
		a.jump(parts[i-1].out, parts[i].in)
	}
	return fragment{parts[0].in, parts[len(parts)-1].out}
}

func (a *automaton) either(parts ...fragment) fragment {
	f := fragment{a.state(), a.state()}
	for _, p := range parts {
		a.jump(f.in, p.in)
		a.jump(p.out, f.out)
	}
	return f
}

func (a *automaton) maybe(p fragment) fragment { return a.either(p, a.empty()) }

// many is zero or more.
func (a *automaton) many(p fragment) fragment {
	s := a.state()
	a.jump(s, p.in)
	a.jump(p.out, s)
	return fragment{s, s}
}

func (a *automaton) atLeastOne(s byteSet) fragment { return a.then(a.one(s), a.many(a.one(s))) }

// glob gives the language of a compiled pattern over an alphabet. It must agree
// with glob.match; a fuzz target compares them.
func (a *automaton) glob(g *glob, alphabet byteSet) fragment {
	switch {
	case g.all:
		return a.many(a.one(alphabet))
	case g.isLiteral:
		return a.text(g.literal)
	}
	inner := without(alphabet, g.separator)
	f := a.empty()
	for i := range g.segments {
		if i > 0 {
			f = a.then(f, a.text(string(g.separator)))
		}
		f = a.then(f, a.segment(&g.segments[i], inner, g.separator, i == len(g.segments)-1))
	}
	return f
}

func without(s byteSet, c byte) byteSet {
	s[c>>6] &^= 1 << (c & 63)
	return s
}

func (a *automaton) segment(s *segment, inner byteSet, separator byte, last bool) fragment {
	switch s.kind {
	case segmentLiteral:
		return a.text(s.text)
	case segmentAny:
		return a.atLeastOne(inner)
	case segmentDeep:
		f := a.then(a.atLeastOne(inner), a.many(a.then(a.text(string(separator)), a.atLeastOne(inner))))
		if last {
			f = a.then(f, a.maybe(a.text(string(separator))))
		}
		return f
	}
	text := s.text
	if s.tail {
		text += "*"
	}
	return a.wild(text, inner)
}

// wild gives the language of matchWild.
func (a *automaton) wild(pattern string, inner byteSet) fragment {
	f := a.empty()
	for i := 0; i < len(pattern); {
		switch pattern[i] {
		case '*':
			f = a.then(f, a.many(a.one(inner)))
			i++
		case '?':
			f = a.then(f, a.one(inner))
			i++
		case '[':
			size := classSize(pattern[i:])
			var s byteSet
			for c := 0; c < 256; c++ {
				if inner.has(byte(c)) && matchClass(pattern[i+1:i+size-1], byte(c)) {
					s.add(byte(c))
				}
			}
			f = a.then(f, a.one(s))
			i += size
		default:
			f = a.then(f, a.text(pattern[i:i+1]))
			i++
		}
	}
	return f
}

// representatives gives words of the universe such that every word of it is
// matched by exactly the same patterns as one of them. It is what makes a proof
// out of examples.
func (a *automaton) representatives(universe fragment, patterns []fragment) ([]string, error) {
	start := []int32{universe.in}
	for _, p := range patterns {
		start = append(start, p.in)
	}
	w := &walk{a: a, universe: universe, patterns: patterns, letters: a.letters(), seen: map[string]bool{}, found: map[string]bool{}}
	w.push("", a.close(start))
	for len(w.queue) > 0 {
		word, states := w.queue[0].word, w.queue[0].states
		w.queue = w.queue[1:]
		for _, c := range w.letters {
			w.push(word+string(c), a.close(a.step(states, c)))
		}
		if len(w.seen) > maxProofStates {
			return nil, fmt.Errorf("the patterns are too many to prove anything (over %d states)", maxProofStates)
		}
	}
	return w.words, nil
}

// walk is a breadth-first search: the words found are the shortest.
type walk struct {
	a        *automaton
	universe fragment
	patterns []fragment
	letters  []byte
	seen     map[string]bool
	found    map[string]bool
	queue    []walkStep
	words    []string
	live     []bool // states from which the universe can still end
}

type walkStep struct {
	word   string
	states []int32
}

func (w *walk) push(word string, states []int32) {
	if !w.alive(states) {
		return
	}
	key := stateKey(states)
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	w.queue = append(w.queue, walkStep{word, states})
	if !slices.Contains(states, w.universe.out) {
		return
	}
	vector := make([]byte, len(w.patterns))
	for i, p := range w.patterns {
		if _, ok := slices.BinarySearch(states, p.out); ok {
			vector[i] = 1
		}
	}
	if !w.found[string(vector)] {
		w.found[string(vector)] = true
		w.words = append(w.words, word)
	}
}

// alive reports whether the universe can still be reached from the states.
func (w *walk) alive(states []int32) bool {
	if w.live == nil {
		w.live = w.a.reaching(w.universe.out)
	}
	for _, s := range states {
		if w.live[s] {
			return true
		}
	}
	return false
}

// reaching marks the states that lead to one.
func (a *automaton) reaching(target int32) []bool {
	live := make([]bool, len(a.edges))
	live[target] = true
	for changed := true; changed; {
		changed = false
		for s := range a.edges {
			if live[s] {
				continue
			}
			for _, e := range a.edges[s] {
				live[s] = live[s] || live[e.to] && e.on != byteSet{}
			}
			for _, to := range a.epsilon[s] {
				live[s] = live[s] || live[to]
			}
			changed = changed || live[s]
		}
	}
	return live
}

func stateKey(states []int32) string {
	b := make([]byte, 0, 4*len(states))
	for _, s := range states {
		b = append(b, byte(s), byte(s>>8), byte(s>>16))
	}
	return string(b)
}

// close adds what jumps lead to, sorted.
func (a *automaton) close(states []int32) []int32 {
	seen := make(map[int32]bool, 2*len(states))
	var out []int32
	for len(states) > 0 {
		s := states[len(states)-1]
		states = states[:len(states)-1]
		if seen[s] {
			continue
		}
		seen[s] = true
		out = append(out, s)
		states = append(states, a.epsilon[s]...)
	}
	slices.Sort(out)
	return out
}

func (a *automaton) step(states []int32, c byte) []int32 {
	var out []int32
	for _, s := range states {
		for _, e := range a.edges[s] {
			if e.on.has(c) {
				out = append(out, e.to)
			}
		}
	}
	return out
}

// letters gives one byte of each class that the automaton tells apart, letters
// and digits first, so that witnesses are readable.
func (a *automaton) letters() []byte {
	sets := map[byteSet]bool{}
	for _, list := range a.edges {
		for _, e := range list {
			sets[e.on] = true
		}
	}
	ordered := make([]byteSet, 0, len(sets))
	for s := range sets {
		ordered = append(ordered, s)
	}
	var out []byte
	seen := map[string]bool{}
	for _, c := range candidateLetters() {
		signature := make([]byte, len(ordered))
		known := false
		for i, s := range ordered {
			if s.has(c) {
				signature[i], known = 1, true
			}
		}
		if known && !seen[string(signature)] {
			seen[string(signature)] = true
			out = append(out, c)
		}
	}
	return out
}

func candidateLetters() []byte {
	out := []byte("xyzabcdefghijklmnopqrstuvw0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")
	for c := byte(0x20); c < 0x7f; c++ {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}
