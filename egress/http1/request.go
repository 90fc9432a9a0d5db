package http1

import (
	"bufio"
	"slices"
	"strconv"
	"strings"
)

// Request is the head of one request.
type Request struct {
	Method   string
	Path     string // as received, escaped; "*" for OPTIONS *
	RawQuery string // as received, without the "?"
	HasQuery bool   // a "?" was there, even with nothing behind it
	Minor    int    // HTTP/1.Minor: 0 or 1
	Host     string // the Host field, as received
	Fields   Fields
	Body     Framing
	Close    bool   // the sender closes after this message
	Upgrade  string // lower-case Upgrade field, when Connection names it; else ""
	Continue bool   // Expect: 100-continue
}

// ReadRequest reads one head. The error is io.EOF at a clean end of the stream,
// a *Malformed for a message that must be refused, else the stream's.
func ReadRequest(r *bufio.Reader) (*Request, error) {
	lines, err := readHead(r)
	if err != nil {
		return nil, err
	}
	q := new(Request)
	if err := q.parseLine(lines[0]); err != nil {
		return nil, err
	}
	if q.Fields, err = parseFields(lines[1:]); err != nil {
		return nil, err
	}
	return q, q.understand()
}

// parseLine reads the request line (RFC 9112, 3): origin form, and "*" for
// OPTIONS. The other forms are for proxies, which we are not to the client.
func (q *Request) parseLine(line string) error {
	method, rest, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || !isToken(method) {
		return malformed("the first line is no request line")
	}
	switch version {
	case "HTTP/1.1":
		q.Minor = 1
	case "HTTP/1.0":
	default:
		return malformed("a version other than HTTP/1.1 and HTTP/1.0")
	}
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			return malformed("a character in the target that has to be escaped")
		}
	}
	if method == "CONNECT" {
		return malformed("CONNECT is for proxies; connect to the destination itself")
	}
	if target == "*" && method != "OPTIONS" || target != "*" && !strings.HasPrefix(target, "/") {
		return malformed("the target is not a path")
	}
	q.Method = method
	q.Path, q.RawQuery, q.HasQuery = strings.Cut(target, "?")
	return nil
}

// understand fills in what the fields say.
func (q *Request) understand() (err error) {
	host, n := q.Fields.Get("Host")
	if n != 1 {
		return malformed("%d Host fields", n)
	}
	q.Host = host
	if q.Body, err = q.Fields.framing(); err != nil {
		return err
	}
	if q.Body.Chunked && q.Minor == 0 {
		return malformed("chunked in HTTP/1.0")
	}
	options := q.Fields.tokens("Connection")
	if err := checkConnection(options); err != nil {
		return err
	}
	q.Close = slices.Contains(options, "close") || q.Minor == 0 && !slices.Contains(options, "keep-alive")
	if up, n := q.Fields.Get("Upgrade"); n > 0 && slices.Contains(options, "upgrade") {
		if n > 1 {
			return malformed("%d Upgrade fields", n)
		}
		q.Upgrade = strings.ToLower(up)
	}
	if expect, n := q.Fields.Get("Expect"); n > 0 {
		if n > 1 || !strings.EqualFold(expect, "100-continue") {
			return malformed("an Expect that nobody knows")
		}
		q.Continue = q.Minor == 1
	}
	return nil
}

// checkConnection refuses a Connection field that would have us drop a field
// that the receiver relies on (RFC 9110, 7.6.1 forbids it).
func checkConnection(options []string) error {
	for _, o := range options {
		switch o {
		case "host", "content-length", "transfer-encoding", "authorization", "cookie",
			"content-type", "content-encoding", "origin", "cache-control", "set-cookie", "range":
			return malformed("Connection names the field %s", o)
		}
	}
	return nil
}

// Head gives the request as it is forwarded: path is the normalised one, host
// stands in Host, hop-by-hop fields are gone. With upgrade the client's wish to
// change protocols goes along.
func (q *Request) Head(path, host string, upgrade bool) []byte {
	b := make([]byte, 0, 512)
	b = append(b, q.Method...)
	b = append(b, ' ')
	b = append(b, path...)
	if q.HasQuery {
		b = append(b, '?')
		b = append(b, q.RawQuery...)
	}
	b = append(b, " HTTP/1."...)
	b = strconv.AppendInt(b, int64(q.Minor), 10)
	b = append(b, "\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	b = q.Fields.appendEndToEnd(b, "host", "expect")
	if q.Continue {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	b = q.Body.appendFields(b)
	switch {
	case upgrade:
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, q.Upgrade...)
		b = append(b, "\r\n"...)
	case q.Close:
		b = append(b, "Connection: close\r\n"...)
	case q.Minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendEndToEnd adds every field but the hop-by-hop ones (RFC 9110, 7.6.1),
// those that Connection names, the framing and those in but.
func (f Fields) appendEndToEnd(b []byte, but ...string) []byte {
	named := f.tokens("Connection")
	for i := range f {
		name := strings.ToLower(f[i].Name)
		if hopByHop(name) || slices.Contains(named, name) || slices.Contains(but, name) {
			continue
		}
		b = append(b, f[i].Name...)
		b = append(b, ": "...)
		b = append(b, f[i].Value...)
		b = append(b, "\r\n"...)
	}
	return b
}

func hopByHop(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
		"te", "trailer", "transfer-encoding", "upgrade", "content-length", "http2-settings":
		return true
	}
	return false
}

// appendFields writes the framing that was understood.
func (f Framing) appendFields(b []byte) []byte {
	switch {
	case f.Chunked:
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	case f.explicit:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, f.Length, 10)
		return append(b, "\r\n"...)
	}
	return b
}
