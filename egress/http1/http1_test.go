package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func reader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

func TestReadRequest(t *testing.T) {
	const ok = "HTTP/1.1\r\nHost: a.example\r\n"
	tests := []struct {
		in   string
		want string // head as forwarded; "" for refused
	}{
		{"GET /x?y=1 " + ok + "\r\n", "GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\n\r\n"},
		{"GET /x? " + ok + "\r\n", "GET /x? HTTP/1.1\r\nHost: a.example\r\n\r\n"},
		{"\r\nGET / " + ok + "\r\n", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"},
		{"OPTIONS * " + ok + "\r\n", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"},
		{"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n", "GET / HTTP/1.0\r\nHost: a.example\r\nConnection: close\r\n\r\n"},
		{"POST / " + ok + "Content-Length: 3\r\n\r\n", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\n"},
		{"POST / " + ok + "Content-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"},
		{"POST / " + ok + "Transfer-Encoding: Chunked\r\n\r\n", "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"GET / " + ok + "Connection: X-Secret, close\r\nX-Secret: 1\r\nProxy-Authorization: b\r\nTE: trailers\r\nY: 2\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a.example\r\nY: 2\r\nConnection: close\r\n\r\n"},
		{"GET / " + ok + "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"},
		{"POST / " + ok + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"},

		{in: "GET / " + ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{in: "GET / " + ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"},
		{in: "GET / " + ok + "Content-Length: 3, 3\r\n\r\n"},
		{in: "GET / " + ok + "Content-Length: +3\r\n\r\n"},
		{in: "GET / " + ok + "Content-Length: 0x3\r\n\r\n"},
		{in: "GET / " + ok + "Content-Length: \r\n\r\n"},
		{in: "GET / " + ok + "Transfer-Encoding: gzip, chunked\r\n\r\n"},
		{in: "GET / " + ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{in: "GET / " + ok + "Transfer-Encoding : chunked\r\n\r\n"},
		{in: "GET / " + ok + "Transfer-Encoding: \x0bchunked\r\n\r\n"},
		{in: "GET / " + ok + "X: a\r\n folded\r\n\r\n"},
		{in: "GET / " + ok + " X: a\r\n\r\n"},
		{in: "GET / " + ok + "X: a\nY: b\r\n\r\n"},
		{in: "GET / " + ok + "X: a\rY: b\r\n\r\n"},
		{in: "GET / " + ok + "X: a\x00\r\n\r\n"},
		{in: "GET / " + ok + "X\r\n\r\n"},
		{in: "GET / " + ok + ": v\r\n\r\n"},
		{in: "GET / " + ok + "Host: b.example\r\n\r\n"},
		{in: "GET / " + ok + "Connection: Host\r\n\r\n"},
		{in: "GET / " + ok + "Connection: authorization\r\n\r\n"},
		{in: "GET / " + ok + "Expect: something\r\n\r\n"},
		{in: "GET / HTTP/1.1\r\n\r\n"},
		{in: "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{in: "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
		{in: "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
		{in: "GET /\r\nHost: a\r\n\r\n"},
		{in: "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{in: "GET / a HTTP/1.1\r\nHost: a\r\n\r\n"},
		{in: "GET http://b.example/ " + ok + "\r\n"},
		{in: "CONNECT a.example:443 " + ok + "\r\n"},
		{in: "GET * " + ok + "\r\n"},
		{in: "GET /a\\b " + ok + "\r\n"},
		{in: "GET /a#b " + ok + "\r\n"},
		{in: "GET /\xc3\xa4 " + ok + "\r\n"},
		{in: "G(T / " + ok + "\r\n"},
		{in: "GET / HTTP/1.1\nHost: a\n\n"},
		{in: "GET / " + ok + strings.Repeat("X: y\r\n", MaxFields+1) + "\r\n"},
		{in: "GET /" + strings.Repeat("x", MaxHead) + " " + ok + "\r\n"},
		{in: strings.Repeat("\r\n", MaxHead)},
	}
	for _, tt := range tests {
		q, err := ReadRequest(reader(tt.in))
		var m *Malformed
		if tt.want == "" {
			if !errors.As(err, &m) {
				t.Errorf("%.80q: error %v, want it refused", tt.in, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%.80q: %v", tt.in, err)
			continue
		}
		if got := string(q.Head(q.Path, "a.example", false)); got != tt.want {
			t.Errorf("%.80q:\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

func TestReadRequestEnds(t *testing.T) {
	if _, err := ReadRequest(reader("")); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for _, cut := range []string{"GET", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a"} {
		if _, err := ReadRequest(reader(cut)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", cut, err)
		}
	}
	boom := errors.New("boom")
	if _, err := ReadRequest(bufio.NewReader(iotest.ErrReader(boom))); !errors.Is(err, boom) {
		t.Errorf("a broken stream: %v", err)
	}
}

func TestUpgrade(t *testing.T) {
	q, err := ReadRequest(reader("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n"))
	if err != nil || q.Upgrade != "websocket" {
		t.Fatalf("%+v, %v", q, err)
	}
	want := "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	if got := string(q.Head("/", "a", true)); got != want {
		t.Errorf("%q", got)
	}
	q, _ = ReadRequest(reader("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"))
	if q.Upgrade != "" {
		t.Error("an Upgrade that Connection does not name counts")
	}
}

func TestReadResponse(t *testing.T) {
	tests := []struct {
		method, in string
		body       bool
		want       string
	}{
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAlt-Svc: h3\r\nKeep-Alive: x\r\n\r\n", true, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"},
		{"GET", "HTTP/1.1 304 \r\nContent-Length: 2\r\n\r\n", false, "HTTP/1.1 304 \r\nContent-Length: 2\r\n\r\n"},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", false, "HTTP/1.1 204 No Content\r\n\r\n"},
		{"GET", "HTTP/1.1 100 Continue\r\n\r\n", false, "HTTP/1.1 100 Continue\r\n\r\n"},
		{"GET", "HTTP/1.1 200 OK\r\n\r\n", true, "HTTP/1.1 200 OK\r\n\r\n"},
		{"GET", "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", true, "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"GET", "HTTP/1.1 101 Sw\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", false, "HTTP/1.1 101 Sw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", false, ""},
		{"GET", "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n", false, ""},
		{"GET", "HTTP/1.1 2000 OK\r\n\r\n", false, ""},
		{"GET", "HTTP/1.1 099 OK\r\n\r\n", false, ""},
		{"GET", "HTTP/2 200 OK\r\n\r\n", false, ""},
		{"GET", "hello\r\n\r\n", false, ""},
		{"GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\n", false, ""},
	}
	for _, tt := range tests {
		r, err := ReadResponse(reader(tt.in), tt.method)
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q is taken", tt.in)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if got := string(r.Head(false)); got != tt.want || r.HasBody(tt.method) != tt.body {
			t.Errorf("%q: body %v,\n got %q\nwant %q", tt.in, r.HasBody(tt.method), got, tt.want)
		}
	}
}

func TestCopyBody(t *testing.T) {
	chunked := Framing{Chunked: true}
	tests := []struct {
		in   string
		f    Framing
		want string
		n    int64
		rest string
		bad  bool
	}{
		{in: "helloGET", f: Framing{Length: 5}, want: "hello", n: 5, rest: "GET"},
		{in: "hel", f: Framing{Length: 5}, want: "hel", n: 3, bad: true},
		{in: "all of it", f: Framing{UntilClose: true}, want: "all of it", n: 9},
		{in: "5\r\nhello\r\n0\r\n\r\nGET", f: chunked, want: "5\r\nhello\r\n0\r\n\r\n", n: 5, rest: "GET"},
		{in: "5;x=y\r\nhello\r\n0\r\nX: trailer\r\n\r\nGET", f: chunked, want: "5\r\nhello\r\n0\r\n\r\n", n: 5, rest: "GET"},
		{in: "0\r\n\r\n", f: chunked, want: "0\r\n\r\n"},
		{in: "5\nhello\r\n0\r\n\r\n", f: chunked, bad: true},
		{in: "5\r\nhelloo\r\n0\r\n\r\n", f: chunked, bad: true, want: "5\r\nhello\r\n", n: 5},
		{in: "-5\r\nhello\r\n0\r\n\r\n", f: chunked, bad: true},
		{in: "0x5\r\nhello\r\n0\r\n\r\n", f: chunked, bad: true},
		{in: "5 \r\nhello\r\n0\r\n\r\n", f: chunked, bad: true},
		{in: "1000000000000000\r\n", f: chunked, bad: true},
		{in: "\r\n", f: chunked, bad: true},
		{in: "5;\rx\r\nhello\r\n0\r\n\r\n", f: chunked, bad: true},
		{in: "0\r\nbroken trailer\r\n\r\n", f: chunked, bad: true},
		{in: "5\r\nhel", f: chunked, bad: true, n: 3},
	}
	for _, tt := range tests {
		r := reader(tt.in)
		var out bytes.Buffer
		n, err := CopyBody(&out, r, tt.f)
		if (err != nil) != tt.bad || n != tt.n {
			t.Errorf("%q: %d bytes, error %v", tt.in, n, err)
		}
		if !tt.bad && out.String() != tt.want {
			t.Errorf("%q: wrote %q", tt.in, out.String())
		}
		if rest, _ := io.ReadAll(r); !tt.bad && string(rest) != tt.rest {
			t.Errorf("%q: left %q, want %q", tt.in, rest, tt.rest)
		}
	}
}

// FuzzRequest holds that what is forwarded means what was understood: it is
// read again as the same request.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: x\r\nX: y\r\n\r\nabc"))
	f.Add([]byte("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ReadRequest(bufio.NewReaderSize(bytes.NewReader(b), 64))
		if err != nil {
			return
		}
		again, err := ReadRequest(bufio.NewReader(bytes.NewReader(q.Head(q.Path, q.Host, q.Upgrade != ""))))
		if err != nil {
			t.Fatalf("what was forwarded is refused: %v", err)
		}
		if again.Method != q.Method || again.Path != q.Path || again.RawQuery != q.RawQuery || again.Host != q.Host ||
			again.Body != q.Body || again.Close != q.Close || again.Upgrade != q.Upgrade {
			t.Fatalf("understood %+v, forwarded %+v", q, again)
		}
	})
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5;x\r\nhello\r\n0\r\nA: b\r\n\r\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		n, err := CopyBody(&out, bufio.NewReaderSize(bytes.NewReader(b), 32), Framing{Chunked: true})
		if err != nil {
			return
		}
		var again bytes.Buffer
		m, err := CopyBody(&again, bufio.NewReader(&out), Framing{Chunked: true})
		if err != nil || m != n {
			t.Fatalf("wrote what reads as %d bytes instead of %d: %v", m, n, err)
		}
	})
}
