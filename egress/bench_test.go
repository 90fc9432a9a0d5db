package egress

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// reply1K is what the benchmarks' server answers: 1 KiB.
var reply1K = "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)

// serve1K answers requests of 2 KiB by their length, without reading HTTP.
func serve1K(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := r.Discard(2048); err != nil {
			return
		}
		io.WriteString(c, reply1K)
	}
}

// ask sends one request of 2 KiB and reads the answer.
func ask(b *testing.B, c net.Conn, r *bufio.Reader, host string) {
	_, err := fmt.Fprintf(c, "POST /ok/a HTTP/1.1\r\nHost: %s\r\nContent-Length: 2048\r\n\r\n%s", host, body2K)
	check(b, err)
	for {
		line, err := r.ReadSlice('\n')
		check(b, err)
		if len(line) == 2 {
			break
		}
	}
	_, err = r.Discard(1024)
	check(b, err)
}

var body2K = strings.Repeat("y", 2048)

// The figures to beat are in the design's field notes: TLS, 1 KiB reply, 2 KiB
// request, keep-alive, one connection: 0.45 ms by a proxy that ends TLS.
func BenchmarkInspectPlain(b *testing.B) {
	n := newBench(b, unitPolicy)
	n.up = serve1K
	c := n.flow("www.example.test", 80)
	c.SetDeadline(time.Time{})
	r := bufio.NewReader(c)
	for b.Loop() {
		ask(b, c, r, "www.example.test")
	}
}

func BenchmarkInspectTLS(b *testing.B) {
	n := newBench(b, unitPolicy)
	leaf, err := n.proxy.cfg.CA.Leaf("www.example.test", time.Now())
	check(b, err)
	n.roots.AppendCertsFromPEM(n.proxy.cfg.CA.CertificatePEM())
	n.up = func(c net.Conn) { serve1K(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}})) }
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(n.proxy.cfg.CA.CertificatePEM())
	raw := n.flow("www.example.test", 443)
	raw.SetDeadline(time.Time{})
	c := tls.Client(raw, &tls.Config{ServerName: "www.example.test", RootCAs: trust})
	r := bufio.NewReader(c)
	for b.Loop() {
		ask(b, c, r, "www.example.test")
	}
}

// BenchmarkDirectTLS is the same without a proxy.
func BenchmarkDirectTLS(b *testing.B) {
	n := newBench(b, unitPolicy)
	leaf, err := n.proxy.cfg.CA.Leaf("www.example.test", time.Now())
	check(b, err)
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(n.proxy.cfg.CA.CertificatePEM())
	ours, theirs := pair(b)
	go serve1K(tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{*leaf}}))
	c := tls.Client(ours, &tls.Config{ServerName: "www.example.test", RootCAs: trust})
	defer c.Close()
	r := bufio.NewReader(c)
	for b.Loop() {
		ask(b, c, r, "www.example.test")
	}
}

// BenchmarkConnect is a connection from its first to its last byte, with a
// certificate that is there already.
func BenchmarkConnect(b *testing.B) {
	n := newBench(b, unitPolicy)
	n.up = serve1K
	for b.Loop() {
		c := n.flow("www.example.test", 80)
		ask(b, c, bufio.NewReader(c), "www.example.test")
		c.Close()
	}
}

// BenchmarkRelay is how many bytes a spliced connection carries.
func BenchmarkRelay(b *testing.B) {
	n := newBench(b, strings.Replace(unitPolicy, "ports: [80, 443]}]\n    binaries: any", "ports: [80, 443], protocol: tcp}]\n    binaries: any", 1))
	n.up = func(c net.Conn) { io.Copy(struct{ io.Writer }{io.Discard}, c) }
	c := n.flow("l4.example.test", 80)
	c.SetDeadline(time.Time{})
	chunk := make([]byte, 256<<10)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		_, err := c.Write(chunk)
		check(b, err)
	}
}
