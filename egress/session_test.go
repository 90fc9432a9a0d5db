package egress

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
)

const ok2 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestKeepAlive(t *testing.T) {
	b := newBench(t, unitPolicy)
	var got strings.Builder
	b.up = answering(ok2, &got)
	c := b.flow("www.example.test", 80)
	req := "GET /ok/%d HTTP/1.1\r\nHost: www.example.test\r\n\r\n"
	out := say(t, c, fmt.Sprintf(req, 1)+fmt.Sprintf(req, 2)+"GET /no HTTP/1.1\r\nHost: www.example.test\r\n\r\n"+
		"GET /ok/3 HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
	if strings.Count(out, "\r\n\r\nok") != 3 || strings.Count(out, "path_not_allowed") != 1 || b.dials != 1 {
		t.Errorf("%d dials: %s", b.dials, out)
	}
	if strings.Contains(got.String(), "/no") {
		t.Error("a denied request went up")
	}
	n := 0
	for _, e := range b.records() {
		if e.Kind == audit.KindRequest {
			if n++; e.RequestID != fmt.Sprintf("test-%d", n) || e.Binary != "" && e.Binary != "/usr/bin/agent" {
				t.Errorf("record %+v", e)
			}
		}
	}
	if n != 4 {
		t.Errorf("%d requests are recorded", n)
	}
}

func TestNormalisedPathIsForwarded(t *testing.T) {
	b := newBench(t, unitPolicy)
	var got strings.Builder
	b.up = answering(ok2, &got)
	for path, want := range map[string]string{
		"/no/../ok/a":      "GET /ok/a HTTP",
		"/ok/%61?x=%2e%2e": "GET /ok/a?x=%2e%2e HTTP",
		"/ok//b":           "GET /ok/b HTTP",
		"/ok/../no":        "",
		"/ok/%2e%2e/no":    "",
		"/ok/a%2fb":        "",
	} {
		got.Reset()
		c := b.flow("www.example.test", 80)
		out := say(t, c, "GET "+path+" HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
		if want == "" && (!strings.Contains(out, " 403 ") || got.Len() > 0) || !strings.HasPrefix(got.String(), want) {
			t.Errorf("%s: sent up %q, answered %q", path, got.String(), out)
		}
	}
}

func TestMalformedRequest(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(net.Conn) { t.Error("dialled for a malformed request") }
	for _, req := range []string{
		"GET /ok/a HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
		"GET /ok/a HTTP/1.1\r\nHost: www.example.test\r\nHost: www.example.test\r\n\r\n",
		"GET http://www.example.test/ok/a HTTP/1.1\r\nHost: www.example.test\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT www.example.test:443 HTTP/1.1\r\nHost: www.example.test\r\n\r\n",
	} {
		for _, host := range []string{"www.example.test", "l4.example.test"} {
			out := say(t, b.flow(host, 80), strings.ReplaceAll(req, "www.example.test", host))
			if !strings.HasPrefix(out, "HTTP/1.1 400 ") || !strings.Contains(out, "malformed_request") {
				t.Errorf("%q: %q", req, out)
			}
		}
	}
	if !b.recorded(audit.KindRequest, "deny", "malformed_request") {
		t.Error("not recorded")
	}
}

func TestHostHasToMatch(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(net.Conn) { t.Error("dialled for another host") }
	for _, host := range []string{"evil.example.test", "www.example.test:81", "www.example.test.evil.test", "", "www.example.test:", "198.51.100.2"} {
		for _, dst := range []string{"www.example.test", "l4.example.test"} {
			out := say(t, b.flow(dst, 80), "GET /ok/a HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			if host == dst {
				continue
			}
			if !strings.Contains(out, "name_mismatch") {
				t.Errorf("Host %q to %s: %q", host, dst, out)
			}
		}
	}
}

func TestStaleUpstream(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(c net.Conn) { // answers one request and leaves
		bufio.NewReader(c).ReadString('\n')
		io.WriteString(c, ok2)
	}
	c := b.flow("www.example.test", 80)
	r := bufio.NewReader(c)
	for i := range 3 {
		fmt.Fprint(c, "GET /ok/a HTTP/1.1\r\nHost: www.example.test\r\n\r\n")
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("request %d: %q %v", i, line, err)
		}
		for line := ""; line != "\r\n"; {
			line, _ = r.ReadString('\n')
		}
		io.ReadFull(r, make([]byte, 2))
		time.Sleep(20 * time.Millisecond)
	}
	if b.dials != 3 {
		t.Errorf("%d dials", b.dials)
	}
}

func TestBodies(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(c net.Conn) { // 100-continue, then an echo of the body, chunked
		r := bufio.NewReader(c)
		for line := ""; line != "\r\n"; {
			line, _ = r.ReadString('\n')
		}
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		body := make([]byte, 5)
		io.ReadFull(r, body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\n%s\r\n0\r\nX-T: y\r\n\r\n", body[2:])
	}
	c := b.flow("www.example.test", 80)
	fmt.Fprint(c, "POST /ok/a HTTP/1.1\r\nHost: www.example.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(c)
	if line, _ := r.ReadString('\n'); !strings.Contains(line, "100") {
		t.Fatalf("%q", line)
	}
	fmt.Fprint(c, "hello")
	rest, _ := io.ReadAll(r)
	if !strings.HasSuffix(string(rest), "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n") {
		t.Errorf("%q", rest)
	}
}

func TestEarlyAnswer(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
		time.Sleep(500 * time.Millisecond)
	}
	c := b.flow("www.example.test", 80)
	out := say(t, c, "POST /ok/a HTTP/1.1\r\nHost: www.example.test\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 5000))
	if !strings.HasPrefix(out, "HTTP/1.1 413 ") || !strings.HasSuffix(out, "big") {
		t.Errorf("%q", out)
	}
}

func TestBadServer(t *testing.T) {
	b := newBench(t, unitPolicy)
	for _, response := range []string{"", "hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"} {
		b.up = func(c net.Conn) { bufio.NewReader(c).ReadString('\n'); io.WriteString(c, response) }
		out := say(t, b.flow("www.example.test", 80), "GET /ok/a HTTP/1.1\r\nHost: www.example.test\r\n\r\n")
		if !strings.HasPrefix(out, "HTTP/1.1 502 ") || !strings.Contains(out, "upstream_failed") {
			t.Errorf("%q: %q", response, out)
		}
	}
}

func TestWebSocket(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(c net.Conn) {
		r := bufio.NewReader(c)
		for line := ""; line != "\r\n"; {
			line, _ = r.ReadString('\n')
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi")
		io.Copy(c, r)
	}
	// One frame of three bytes, masked with zeros.
	frame := func(op byte) string { return string([]byte{0x80 | op, 0x83, 0, 0, 0, 0, 'a', 'b', 'c'}) }
	upgrade := func(host, then string) string {
		c := b.flow(host, 80)
		fmt.Fprintf(c, "GET /ok/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n%s", host, then)
		c.CloseWrite()
		out, _ := io.ReadAll(c)
		return string(out)
	}
	for _, tt := range []struct{ host, then, want string }{
		{"ws.example.test", frame(opText), "hi" + frame(opText)},
		{"ws.example.test", frame(9) + frame(opText) + frame(opBinary), "hi" + frame(9) + frame(opText) + "\x88\x02\x03\xf0"},
		{"wsro.example.test", frame(9), "hi" + frame(9)},
		{"wsro.example.test", frame(opText), "hi\x88\x02\x03\xf0"},
		{"wsro.example.test", frame(opContinuation), "hi\x88\x02\x03\xf0"},
		{"wsro.example.test", "no frame", "hi"},
		{"l4.example.test", "anything", "hianything"},
	} {
		out := upgrade(tt.host, tt.then)
		head, body, _ := strings.Cut(out, "\r\n\r\n")
		right := body == tt.want
		if strings.HasSuffix(tt.want, "\xf0") { // what was said before the refusal may not come back in time
			right = strings.Contains(body, "\x88\x02\x03\xf0")
		}
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !right {
			t.Errorf("%s, %q: %q, want %q", tt.host, tt.then, out, tt.want)
		}
	}
	if !b.recorded(audit.KindRequest, "deny", "message_not_allowed") {
		t.Error("a refused message is not recorded")
	}
}

func TestNotHTTP(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(net.Conn) { t.Error("dialled") }
	for _, text := range []string{"\x00\x01\x02\n", "EHLO x\r\n"} {
		if out := say(t, b.flow("www.example.test", 80), text); out != "" {
			t.Errorf("%q: %q", text, out)
		}
	}
	time.Sleep(20 * time.Millisecond)
	if !b.recorded(audit.KindConnect, "deny", string(ReasonNotHTTP)) {
		t.Error("not recorded")
	}
}

// TestLateHTTP holds that the Host is checked however the request is cut up, and
// whoever speaks first.
func TestLateHTTP(t *testing.T) {
	for _, serverFirst := range []bool{false, true} {
		b := newBench(t, unitPolicy)
		var got strings.Builder
		b.up = func(c net.Conn) {
			if serverFirst {
				io.WriteString(c, "220 ready\r\n")
			}
			answering(ok2, &got)(c)
		}
		c := b.flow("l4.example.test", 80)
		for _, piece := range []string{"GET / HT", "TP/1.1\r\nHo", "st: evil.example.test\r\nConnection: close\r\n\r\n"} {
			time.Sleep(silence + 50*time.Millisecond)
			io.WriteString(c, piece)
		}
		out, _ := io.ReadAll(c)
		if got.Len() > 0 || !serverFirst && !strings.Contains(string(out), "name_mismatch") {
			t.Errorf("server first %v: sent up %q, answered %q", serverFirst, got.String(), out)
		}
		honest := b.flow("l4.example.test", 80)
		if !serverFirst {
			time.Sleep(silence + 50*time.Millisecond)
			out := say(t, honest, "GET / HTTP/1.1\r\nHost: l4.example.test\r\nConnection: close\r\n\r\n")
			if !strings.HasSuffix(out, "ok") {
				t.Errorf("a client that takes its time: %q", out)
			}
		}
	}
}

func TestHalfALine(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(c net.Conn) { out, _ := io.ReadAll(c); fmt.Fprintf(c, "got %s", out) }
	c := b.flow("l4.example.test", 80)
	fmt.Fprint(c, "hello")
	c.CloseWrite()
	if out, _ := io.ReadAll(c); string(out) != "got hello" {
		t.Errorf("%q", out)
	}
}

func TestLogGone(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(net.Conn) { t.Error("dialled without a record") }
	full, err := os.OpenFile("/dev/full", os.O_RDWR|os.O_APPEND, 0)
	check(t, err)
	defer full.Close()
	sink, err := audit.New(full)
	check(t, err)
	b.res.Log = sink
	if out := say(t, b.flow("www.example.test", 80), "GET /ok/a HTTP/1.1\r\nHost: www.example.test\r\n\r\n"); out != "" {
		t.Errorf("%q", out)
	}
}

func TestRemoveClosesConnections(t *testing.T) {
	b := newBench(t, unitPolicy)
	b.up = func(c net.Conn) { io.Copy(io.Discard, c) }
	idle, relay := b.flow("www.example.test", 80), b.flow("l4.example.test", 80)
	fmt.Fprint(relay, "\x01binary\n")
	time.Sleep(50 * time.Millisecond)
	b.proxy.Remove("c1")
	for _, c := range []net.Conn{idle, relay} {
		if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Errorf("still open: %v", err)
		}
	}
}

// TestTLS ends TLS on both sides, and holds that the server's certificate
// counts.
func TestTLS(t *testing.T) {
	b := newBench(t, unitPolicy)
	server := newBench(t, unitPolicy).proxy.cfg.CA // somebody else's authority
	leaf, err := server.Leaf("www.example.test", time.Now())
	check(t, err)
	b.up = func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}})
		if s.Handshake() == nil {
			bufio.NewReader(s).ReadString('\n')
			io.WriteString(s, ok2)
		}
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(b.proxy.cfg.CA.CertificatePEM())
	get := func(name string) string {
		c := tls.Client(b.flow("www.example.test", 443), &tls.Config{ServerName: name, RootCAs: trust, NextProtos: []string{"h2", "http/1.1"}})
		if err := c.Handshake(); err != nil {
			return err.Error()
		}
		return say(t, c, "GET /ok/a HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n")
	}
	if out := get("www.example.test"); !strings.Contains(out, " 502 ") || !strings.Contains(out, "TLS with the server") {
		t.Errorf("a server that nobody vouches for: %q", out)
	}
	b.roots.AppendCertsFromPEM(server.CertificatePEM())
	if out := get("WWW.example.test"); !strings.HasSuffix(out, "ok") {
		t.Errorf("allowed: %q", out)
	}
	if out := get("evil.example.test"); !strings.Contains(out, "unrecognized name") {
		t.Errorf("another name: %q", out)
	}
}
