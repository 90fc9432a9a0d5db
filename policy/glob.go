package policy

import "strings"

// Bounds on one pattern. Matching costs at most their product with the length
// of the subject, so a pattern cannot be a bomb.
const (
	maxPattern   = 1024 // bytes
	maxWildcards = 16   // runs of *, all segments together
)

// patternError is what is wrong with a pattern, and what to write.
type patternError struct{ msg, fix string }

// Error gives the message.
func (e *patternError) Error() string { return e.msg }

// glob is a compiled pattern. The subject is split at the separator, and no
// wildcard but ** crosses it. The zero value matches nothing.
type glob struct {
	all       bool   // a lone **
	literal   string // the whole pattern, if it has no wildcard
	isLiteral bool
	separator byte
	segments  []segment
	prefix    string // literal start and end: a quick no for most subjects
	suffix    string
}

// segmentKind says how a segment matches.
type segmentKind uint8

const (
	segmentLiteral segmentKind = iota
	segmentAny                 // *: any text but the empty
	segmentDeep                // **: one segment or more
	segmentPattern             // wildcards inside
)

type segment struct {
	kind segmentKind
	text string
	tail bool // of segmentPattern: it has no class and one trailing *: text is the prefix
}

// compileGlob checks and compiles a pattern. What is special to other readers of
// the same files, {a,b}, <…>, (?i) and backslashes, is refused rather than read
// another way.
func compileGlob(pattern string, separator byte) (*glob, *patternError) {
	if len(pattern) > maxPattern {
		return nil, &patternError{"is longer than 1024 bytes", "shorten it"}
	}
	if i := strings.IndexAny(pattern, "{}<>\\"); i >= 0 {
		return nil, &patternError{"contains " + pattern[i:i+1] + ", which has another meaning elsewhere", "write several patterns"}
	}
	if strings.Contains(pattern, "(?") {
		return nil, &patternError{"contains (?, which has another meaning elsewhere", "write both cases as a class: [aA]"}
	}
	g := &glob{separator: separator}
	if pattern == "**" {
		g.all = true
		return g, nil
	}
	if !strings.ContainsAny(pattern, "*?[") {
		g.literal, g.isLiteral = pattern, true
		return g, nil
	}
	wildcards := 0
	for _, part := range splitPattern(pattern, separator) {
		s, err := compileSegment(part, separator)
		if err != nil {
			return nil, err
		}
		wildcards += wildcardsIn(s)
		g.segments = append(g.segments, s)
	}
	if wildcards > maxWildcards {
		return nil, &patternError{"has more than 16 wildcards", "write several patterns"}
	}
	g.prefix = pattern[:strings.IndexAny(pattern, "*?[")]
	g.suffix = pattern[strings.LastIndexAny(pattern, "*?]")+1:]
	return g, nil
}

// splitPattern splits at the separator, but not inside a class.
func splitPattern(pattern string, separator byte) []string {
	var out []string
	start, class := 0, false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == separator && !class:
			out = append(out, pattern[start:i])
			start = i + 1
		}
	}
	return append(out, pattern[start:])
}

func compileSegment(part string, separator byte) (segment, *patternError) {
	switch {
	case part == "**":
		return segment{kind: segmentDeep}, nil
	case part == "*":
		return segment{kind: segmentAny}, nil
	case strings.Contains(part, "***"):
		return segment{}, &patternError{"contains ***", "write * or **"}
	case !strings.ContainsAny(part, "*?["):
		return segment{kind: segmentLiteral, text: part}, nil
	}
	for strings.Contains(part, "**") {
		part = strings.ReplaceAll(part, "**", "*") // **x** acts as *x*
	}
	if err := checkClasses(part, separator); err != nil {
		return segment{}, err
	}
	s := segment{kind: segmentPattern, text: part}
	if strings.IndexAny(part, "*?[") == len(part)-1 && part[len(part)-1] == '*' {
		s.text, s.tail = part[:len(part)-1], true
	}
	return s, nil
}

// checkClasses refuses a class that is not closed, is empty, or holds the
// separator.
func checkClasses(part string, separator byte) *patternError {
	for i := 0; i < len(part); i++ {
		switch part[i] {
		case ']':
			return &patternError{"has a ] without [", "close every class"}
		case '[':
			size := classSize(part[i:])
			if size == 0 {
				return &patternError{"has a class that is empty or not closed", "write [abc] or [a-z]"}
			}
			if strings.IndexByte(part[i:i+size], separator) >= 0 {
				return &patternError{"has the separator inside a class", "take it out"}
			}
			i += size - 1
		}
	}
	return nil
}

// classSize gives the length of the class that s starts with, brackets
// included, or 0.
func classSize(s string) int {
	body := 1
	if body < len(s) && (s[body] == '!' || s[body] == '^') {
		body++
	}
	end := strings.IndexByte(s, ']')
	if end <= body {
		return 0
	}
	return end + 1
}

func wildcardsIn(s segment) int {
	switch s.kind {
	case segmentAny, segmentDeep:
		return 1
	case segmentPattern:
		n := strings.Count(s.text, "*") + strings.Count(s.text, "?") + strings.Count(s.text, "[")
		return max(n, 1)
	}
	return 0
}

// match reports whether the pattern matches the whole subject.
func (g *glob) match(subject string) bool {
	switch {
	case g.all:
		return true
	case g.isLiteral:
		return subject == g.literal
	case len(subject) < len(g.prefix)+len(g.suffix) || !strings.HasPrefix(subject, g.prefix) || !strings.HasSuffix(subject, g.suffix):
		return false
	}
	return g.matchSegments(subject)
}

// matchSegments walks both sides once, and goes back to the last ** when a
// later segment does not fit. Going back further never helps: what an earlier
// ** could take, the last one can take as well.
func (g *glob) matchSegments(subject string) bool {
	p, rest, more := 0, subject, true
	deep, deepRest := -1, ""
	for {
		if p < len(g.segments) && more && g.segments[p].kind == segmentDeep {
			head, tail, further := cutByte(rest, g.separator)
			if head != "" {
				deep, deepRest = p, tail
				p, rest, more = p+1, tail, further
				if !further {
					deep = -1
				}
				continue
			}
		} else if p < len(g.segments) && more {
			head, tail, further := cutByte(rest, g.separator)
			if g.segments[p].match(head) {
				p, rest, more = p+1, tail, further
				continue
			}
		} else if p == len(g.segments) && !more {
			return true
		}
		if deep < 0 {
			return false
		}
		// Let the last ** take one segment more; only the last may be empty.
		head, tail, further := cutByte(deepRest, g.separator)
		if head == "" && further {
			return false
		}
		p, rest, more = deep+1, tail, further
		deepRest = tail
		if !further {
			deep = -1
		}
	}
}

// cutByte is strings.Cut at a byte, without allocating.
func cutByte(s string, separator byte) (head, tail string, found bool) {
	if i := strings.IndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func (s *segment) match(subject string) bool {
	switch s.kind {
	case segmentLiteral:
		return subject == s.text
	case segmentAny:
		return subject != ""
	case segmentPattern:
		if subject == "" {
			return false
		}
		if s.tail {
			return strings.HasPrefix(subject, s.text)
		}
		return matchWild(s.text, subject)
	}
	return false
}

// matchWild matches *, ? and classes inside one segment.
func matchWild(pattern, subject string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(subject) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, i
			p++
			continue
		}
		if p < len(pattern) {
			if size, ok := matchOne(pattern[p:], subject[i]); ok {
				p, i = p+size, i+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the element that the pattern starts with,
// and gives that element's length.
func matchOne(pattern string, c byte) (int, bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		size := classSize(pattern)
		return size, matchClass(pattern[1:size-1], c)
	}
	return 1, pattern[0] == c
}

// matchClass matches the inside of a class.
func matchClass(class string, c byte) bool {
	negated := class[0] == '!' || class[0] == '^'
	if negated {
		class = class[1:]
	}
	for i := 0; i < len(class); i++ {
		if i+2 < len(class) && class[i+1] == '-' {
			if class[i] <= c && c <= class[i+2] {
				return !negated
			}
			i += 2
			continue
		}
		if class[i] == c {
			return !negated
		}
	}
	return negated
}
