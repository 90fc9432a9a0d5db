package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MaxHead bounds the start line and fields of a message, in bytes.
	MaxHead = 64 << 10
	// MaxFields bounds how many fields a message has.
	MaxFields = 128
)

// Malformed is why a message is refused. Its text is fit for the sender.
type Malformed struct{ Why string }

// Error says what is wrong with the message.
func (m *Malformed) Error() string { return "malformed HTTP message: " + m.Why }

func malformed(format string, args ...any) error {
	return &Malformed{Why: fmt.Sprintf(format, args...)}
}

// Field is one header field. Name is as received.
type Field struct{ Name, Value string }

// Fields are a message's header fields in their order.
type Fields []Field

// Get returns the value of the first field of that name, in any case, and how
// many there are.
func (f Fields) Get(name string) (value string, n int) {
	for i := range f {
		if strings.EqualFold(f[i].Name, name) {
			if n++; n == 1 {
				value = f[i].Value
			}
		}
	}
	return value, n
}

// Framing says how long a message's body is.
type Framing struct {
	Chunked    bool
	UntilClose bool  // a response that ends with its connection
	Length     int64 // where neither is set; 0: no body
	explicit   bool  // Content-Length was there
}

// None reports whether there is no body at all.
func (f Framing) None() bool { return !f.Chunked && !f.UntilClose && f.Length == 0 }

// readHead reads the lines of a head, without their line ends, up to the empty
// line. At a clean end of the stream before the first byte the error is io.EOF.
func readHead(r *bufio.Reader) ([]string, error) {
	var lines []string
	left := MaxHead
	for {
		line, err := readLine(r, left)
		if err != nil {
			if errors.Is(err, io.EOF) && (len(lines) > 0 || line != "") {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		left -= len(line) + 2
		if line == "" {
			if len(lines) == 0 {
				continue // RFC 9112, 2.2: an empty line before the request
			}
			return lines, nil
		}
		if len(lines) > MaxFields {
			return nil, malformed("more than %d fields", MaxFields)
		}
		lines = append(lines, line)
	}
}

// readLine reads one line that ends in CRLF and has no other CR, LF or NUL.
func readLine(r *bufio.Reader, limit int) (string, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(long)+len(part) > limit {
			return "", malformed("the head is longer than %d bytes", MaxHead)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, part...)
			continue
		}
		if err != nil {
			return string(long) + string(part), err
		}
		line := part
		if long != nil {
			line = append(long, part...)
		}
		n := len(line)
		if n < 2 || line[n-2] != '\r' {
			return "", malformed("a line does not end in CRLF")
		}
		for _, c := range line[:n-2] {
			if c == '\r' || c == 0 {
				return "", malformed("a control character in a line")
			}
		}
		return string(line[:n-2]), nil
	}
}

// parseFields reads field lines (RFC 9112, 5).
func parseFields(lines []string) (Fields, error) {
	out := make(Fields, 0, len(lines))
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return nil, malformed("a line that is no field")
		}
		value = strings.Trim(value, " \t")
		for i := 0; i < len(value); i++ {
			if c := value[i]; (c < ' ' && c != '\t') || c == 0x7f {
				return nil, malformed("a control character in the field %s", name)
			}
		}
		out = append(out, Field{name, value})
	}
	return out, nil
}

// framing reads Content-Length and Transfer-Encoding (RFC 9112, 6). A message
// that has both, or one of them twice, is refused: that is how requests are
// smuggled.
func (f Fields) framing() (Framing, error) {
	length, nLength := f.Get("Content-Length")
	coding, nCoding := f.Get("Transfer-Encoding")
	switch {
	case nLength+nCoding > 1:
		return Framing{}, malformed("more than one Content-Length or Transfer-Encoding")
	case nCoding == 1:
		if !strings.EqualFold(coding, "chunked") {
			return Framing{}, malformed("a Transfer-Encoding other than chunked")
		}
		return Framing{Chunked: true}, nil
	case nLength == 1:
		n, ok := parseLength(length)
		if !ok {
			return Framing{}, malformed("a Content-Length that is no number")
		}
		return Framing{Length: n, explicit: true}, nil
	}
	return Framing{}, nil
}

// parseLength takes digits alone, and no more than an int64 holds.
func parseLength(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// isToken reports whether s is a token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			continue
		}
		if !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) || c >= 0x80 {
			return false
		}
	}
	return s != ""
}

// tokens splits a list field's values, over all fields of that name.
func (f Fields) tokens(name string) []string {
	var out []string
	for i := range f {
		if !strings.EqualFold(f[i].Name, name) {
			continue
		}
		for _, t := range strings.Split(f[i].Value, ",") {
			if t = strings.Trim(t, " \t"); t != "" {
				out = append(out, strings.ToLower(t))
			}
		}
	}
	return out
}
