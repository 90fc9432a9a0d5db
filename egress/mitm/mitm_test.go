package mitm

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"
)

// clientHello returns the bytes that Go's TLS client sends first.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		tls.Client(a, cfg).Handshake()
		a.Close()
	}()
	b.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, MaxHello)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestParseHello(t *testing.T) {
	b := clientHello(t, &tls.Config{ServerName: "Api.Example.com", NextProtos: []string{"h2", "http/1.1"}})
	h, err := ParseHello(b)
	if err != nil {
		t.Fatal(err)
	}
	if h.ServerName != "Api.Example.com" || !slices.Equal(h.ALPN, []string{"h2", "http/1.1"}) || h.ECH {
		t.Errorf("%+v", h)
	}
	for n := range len(b) {
		if _, err := ParseHello(b[:n]); !errors.Is(err, ErrShort) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
	if h2, err := ParseHello(append(slices.Clone(b), "more"...)); err != nil || h2.ServerName != h.ServerName {
		t.Errorf("with bytes after it: %v", err)
	}
	if h3, err := ParseHello(fragment(b, 7)); err != nil || h3.ServerName != h.ServerName {
		t.Errorf("in records of 7 bytes: %v", err)
	}
	none := clientHello(t, &tls.Config{InsecureSkipVerify: true})
	if h, err := ParseHello(none); err != nil || h.ServerName != "" {
		t.Errorf("without a name: %+v, %v", h, err)
	}
	for _, bad := range []string{"GET / HTTP/1.1\r\n", "\x16\x02\x00\x00\x05hello", "\x16\x03\x01\x00\x00", "\x16\x03\x01\x00\x05\x02\x00\x00\x00\x00", "\x15\x03\x01\x00\x02\x01\x00"} {
		if _, err := ParseHello([]byte(bad)); !errors.Is(err, ErrNotHello) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// fragment cuts the one record of b into records of n bytes.
func fragment(b []byte, n int) []byte {
	var out []byte
	for body := b[5:]; len(body) > 0; body = body[min(n, len(body)):] {
		out = append(out, 22, 3, 1, 0, byte(min(n, len(body))))
		out = append(out, body[:min(n, len(body))]...)
	}
	return out
}

func TestHelloTwoNames(t *testing.T) {
	sni := func(name string) []byte {
		n := len(name)
		return append([]byte{0, 0, 0, byte(n + 5), 0, byte(n + 3), 0, 0, byte(n)}, name...)
	}
	ext := append(sni("a.example"), sni("b.example")...)
	body := append(make([]byte, 34), 0, 0, 2, 0x13, 1, 1, 0, 0, byte(len(ext)))
	body = append(body, ext...)
	msg := append([]byte{1, 0, 0, byte(len(body))}, body...)
	rec := append([]byte{22, 3, 1, 0, byte(len(msg))}, msg...)
	if h, err := ParseHello(rec); !errors.Is(err, ErrNotHello) {
		t.Errorf("two names: %+v, %v", h, err)
	}
}

func FuzzParseHello(f *testing.F) {
	f.Add(clientHello(f, &tls.Config{ServerName: "example.com", NextProtos: []string{"h2"}}))
	f.Add(fragment(clientHello(f, &tls.Config{ServerName: "example.com"}), 5))
	f.Add([]byte{22, 3, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHello(b)
		if err != nil {
			if !errors.Is(err, ErrShort) && !errors.Is(err, ErrNotHello) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		if len(h.ServerName) > len(b) {
			t.Error("the name is longer than the message")
		}
	})
}

func TestAuthority(t *testing.T) {
	now := time.Now()
	a, err := NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadAuthority(kept)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.CertificatePEM()) {
		t.Fatal("the certificate is not PEM")
	}
	for _, host := range []string{"api.example.com", "198.51.100.7", "2001:db8::1"} {
		for _, by := range []*Authority{a, again} {
			leaf, err := by.Leaf(host, now)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(leaf.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	one, _ := a.Leaf("api.example.com", now)
	two, _ := a.Leaf("api.example.com", now)
	if one != two {
		t.Error("a leaf is made twice")
	}
	if later, _ := a.Leaf("api.example.com", now.Add(leafLife)); later == one {
		t.Error("a leaf that has ended is given out")
	}
	for i := range MaxLeaves + 10 {
		if _, err := a.Leaf(fmt.Sprintf("h%d.example.com", i), now); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.byName) != MaxLeaves || a.used.Len() != MaxLeaves {
		t.Errorf("%d leaves are kept", len(a.byName))
	}
	if _, err := LoadAuthority([]byte("nothing")); err == nil {
		t.Error("an authority out of nothing")
	}
}

func BenchmarkLeaf(b *testing.B) {
	a, err := NewAuthority(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if _, err := a.Leaf(fmt.Sprintf("h%d.example.com", i), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
