package audit

import (
	"unicode"
	"unicode/utf8"
)

// Bounds of an Event's texts, in bytes, after cleaning. 64 weaker entries of
// 512, a path and a message, doubled by JSON's escapes, stay below MaxLine only
// because clean bounds their sum; see Event.clean.
const (
	maxName    = 256  // names, ids, reasons
	maxHost    = 255  // a DNS name
	maxPath    = 2048 // paths of requests and files
	maxMessage = 1024
	maxWeak    = 256 // each entry of Weaker
	maxWeaker  = 64  // entries of Weaker
)

// ellipsis marks a text that was cut.
const ellipsis = "…"

// Clean returns s without what could deceive a reader or drive a terminal:
// control and escape characters, bidirectional marks and other invisible
// formatting become U+FFFD, invalid UTF-8 too. A result of more than limit
// bytes is cut at a character and ends in "…". The common case, a clean short
// text, is returned as it is.
func Clean(s string, limit int) string {
	if len(s) <= limit && isPlain(s) {
		return s
	}
	b := make([]byte, 0, min(len(s), limit)+utf8.UTFMax)
	cut := 0 // the longest text so far that leaves room for the ellipsis
	for _, r := range s {
		if !printable(r) {
			r = utf8.RuneError
		}
		if len(b)+utf8.RuneLen(r) > limit {
			return string(append(b[:cut], ellipsis...))
		}
		b = utf8.AppendRune(b, r)
		if len(b)+len(ellipsis) <= limit {
			cut = len(b)
		}
	}
	return string(b)
}

// isPlain reports whether s is printable ASCII, which needs no cleaning.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// printable excludes control characters (Cc), formatting characters (Cf: bidi
// marks and isolates, zero-width joiners, tags), line and paragraph separators,
// surrogates, and what Unicode has not assigned.
func printable(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zl, r) && !unicode.Is(unicode.Zp, r)
}

// clean makes every text of e fit to be recorded.
func (e *Event) clean() {
	for _, p := range []*string{
		&e.Sandbox, &e.Verdict, &e.Reason, &e.Rule, &e.Policy, &e.Addr, &e.Proto, &e.RequestID, &e.Method,
	} {
		*p = Clean(*p, maxName)
	}
	e.Host = Clean(e.Host, maxHost)
	e.At = Clean(e.At, maxPath)
	e.Path = Clean(e.Path, maxPath)
	e.Binary = Clean(e.Binary, maxPath)
	e.Message = Clean(e.Message, maxMessage)
	if len(e.Weaker) == 0 {
		return
	}
	weaker := make([]string, 0, min(len(e.Weaker), maxWeaker+1))
	for i, w := range e.Weaker {
		if i == maxWeaker {
			weaker = append(weaker, ellipsis)
			break
		}
		weaker = append(weaker, Clean(w, maxWeak))
	}
	e.Weaker = weaker
}
