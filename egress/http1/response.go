package http1

import (
	"bufio"
	"slices"
	"strconv"
	"strings"
)

// Response is the head of one response.
type Response struct {
	Status int
	Reason string
	Minor  int
	Fields Fields
	Body   Framing
	Close  bool   // the sender closes after this message
	Up     string // lower-case Upgrade field of a 101
}

// Informational reports an interim response (RFC 9110, 15.2), which another
// follows; 101 is none, it ends HTTP.
func (r *Response) Informational() bool { return r.Status/100 == 1 && r.Status != 101 }

// ReadResponse reads the head of the response to a request with the given
// method. Errors are as those of ReadRequest.
func ReadResponse(rd *bufio.Reader, method string) (*Response, error) {
	lines, err := readHead(rd)
	if err != nil {
		return nil, err
	}
	r := new(Response)
	if err := r.parseLine(lines[0]); err != nil {
		return nil, err
	}
	if r.Fields, err = parseFields(lines[1:]); err != nil {
		return nil, err
	}
	return r, r.understand(method)
}

// parseLine reads the status line (RFC 9112, 4).
func (r *Response) parseLine(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	switch version {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
	default:
		return malformed("the first line is no status line")
	}
	n, ok := parseLength(code)
	if !ok || len(code) != 3 || n < 100 {
		return malformed("a status that is no number of three digits")
	}
	for i := 0; i < len(reason); i++ {
		if c := reason[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return malformed("a control character in the reason")
		}
	}
	r.Status, r.Reason = int(n), reason
	return nil
}

func (r *Response) understand(method string) (err error) {
	if r.Body, err = r.Fields.framing(); err != nil {
		return err
	}
	if r.Body.Chunked && r.Minor == 0 {
		return malformed("chunked in HTTP/1.0")
	}
	options := r.Fields.tokens("Connection")
	if err := checkConnection(options); err != nil {
		return err
	}
	r.Close = slices.Contains(options, "close") || r.Minor == 0 && !slices.Contains(options, "keep-alive")
	if r.Status == 101 {
		up, _ := r.Fields.Get("Upgrade")
		r.Up = strings.ToLower(up)
	}
	if (r.Status/100 == 1 || r.Status == 204) && !r.Body.None() {
		return malformed("a body where the status allows none")
	}
	bodyless := r.Status/100 == 1 || r.Status == 204 || r.Status == 304 || method == "HEAD"
	if !bodyless && !r.Body.Chunked && !r.Body.explicit {
		r.Body.UntilClose, r.Close = true, true
	}
	return nil
}

// HasBody reports whether bytes follow the head, given the request's method:
// the fields of a response to HEAD, and of a 304, speak of another message.
func (r *Response) HasBody(method string) bool {
	return r.Status/100 != 1 && r.Status != 204 && r.Status != 304 && method != "HEAD" && !r.Body.None()
}

// Head gives the response as it is passed on. With last, the client is told
// that the connection closes.
func (r *Response) Head(last bool) []byte {
	b := make([]byte, 0, 512)
	b = append(b, "HTTP/1."...)
	b = strconv.AppendInt(b, int64(r.Minor), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, ' ')
	b = append(b, r.Reason...)
	b = append(b, "\r\n"...)
	b = r.Fields.appendEndToEnd(b, "alt-svc") // HTTP/3 goes nowhere from here
	b = r.Body.appendFields(b)
	switch {
	case r.Status == 101:
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, r.Up...)
		b = append(b, "\r\n"...)
	case r.Informational():
	case last:
		b = append(b, "Connection: close\r\n"...)
	case r.Minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}
