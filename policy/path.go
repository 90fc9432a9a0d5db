package policy

import "strings"

// maxPath bounds a request's path after normalisation, in bytes.
const maxPath = 4 << 10

// NormalizePath gives the form of a request's path that rules are matched
// against, and that must be sent upstream, so that the server reads what was
// decided: unreserved characters decoded, hexadecimal in upper case, dot
// segments resolved, "//" collapsed, ";params" cut off. ok is false for a path
// that is refused: not absolute, over 4 KiB, a raw control character or
// backslash, a broken escape, an encoded NUL or backslash, and an encoded slash
// unless keepSlash. A path that is already normal is returned as it is, without
// allocating.
func NormalizePath(escaped string, keepSlash bool) (path string, ok bool) {
	if escaped == "" || escaped[0] != '/' || len(escaped) > 4*maxPath {
		return "", false
	}
	if isNormalPath(escaped) {
		return escaped, len(escaped) <= maxPath
	}
	decoded, ok := decodePath(escaped, keepSlash)
	if !ok {
		return "", false
	}
	path = resolveDots(decoded)
	return path, len(path) <= maxPath
}

// isNormalPath reports whether normalisation would change nothing.
func isNormalPath(p string) bool {
	for i := 0; i < len(p); i++ {
		c := p[i]
		if c == '/' && i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
			return false
		}
		if c <= ' ' || c >= 0x7f || c == '%' || c == ';' || c == '\\' || c == '#' || c == '?' {
			return false
		}
	}
	return true
}

// decodePath decodes unreserved characters (RFC 3986, 2.3) and cuts params.
func decodePath(p string, keepSlash bool) (string, bool) {
	var b strings.Builder
	b.Grow(len(p))
	params := false
	for i := 0; i < len(p); i++ {
		c := p[i]
		encoded := false
		if c == '%' {
			v, ok := unhex(p, i)
			if !ok || v < ' ' || v == 0x7f || v == '\\' || v == '/' && !keepSlash {
				return "", false
			}
			c, encoded = v, true
			i += 2
		}
		switch {
		case !encoded && (c < ' ' || c == 0x7f || c == '\\' || c == '#' || c == '?'):
			return "", false
		case !encoded && c == '/':
			params = false
		case !encoded && c == ';':
			params = true
		}
		if params {
			continue
		}
		if c == ' ' || c >= 0x7f || encoded && !isUnreserved(c) {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

const upperHex = "0123456789ABCDEF"

// unhex reads the escape at s[i:].
func unhex(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, ok1 := hexDigit(s[i+1])
	lo, ok2 := hexDigit(s[i+2])
	return hi<<4 | lo, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// resolveDots removes empty, "." and ".." segments (RFC 3986, 5.2.4). A ".."
// at the root stays at the root.
func resolveDots(p string) string {
	var out []string
	directory := false
	for rest, more := p[1:], true; more; {
		var s string
		s, rest, more = strings.Cut(rest, "/")
		directory = !more && (s == "" || s == "." || s == "..")
		switch s {
		case "", ".":
		case "..":
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return "/"
	}
	joined := "/" + strings.Join(out, "/")
	if directory {
		joined += "/"
	}
	return joined
}

// canonicalPathPattern brings the literal parts of a path pattern to the form of
// NormalizePath, so that "/a b", "/a%20b" and "/%61%20b" are the same pattern.
func canonicalPathPattern(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		c := p[i]
		if c == '%' {
			if v, ok := unhex(p, i); ok {
				i += 2
				if isUnreserved(v) {
					b.WriteByte(v)
				} else {
					b.WriteString("%" + string(upperHex[v>>4]) + string(upperHex[v&15]))
				}
				continue
			}
		}
		if c <= ' ' || c >= 0x7f {
			b.WriteString("%" + string(upperHex[c>>4]) + string(upperHex[c&15]))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isToken reports whether s is an HTTP token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}
