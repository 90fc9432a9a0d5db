package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Request is one HTTP request that reached a server of the test internet.
type Request struct {
	Local             string // address and port it came to
	TLS               bool
	SNI               string
	Method, Host, URI string
	Proto             string
	Header            http.Header
	BodyBytes         int
	Time              time.Time
	Remote            string // who asked, as the server sees it
}

// WebLog records requests. The zero value is empty.
type WebLog struct {
	mu       sync.Mutex
	requests []Request
}

// Requests returns a copy of what came so far.
func (w *WebLog) Requests() []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Request(nil), w.requests...)
}

// ServeHTTP records the request and answers with a JSON description of it, so
// that a test sees in the container's output who has answered.
func (w *WebLog) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	rec := Request{
		Method: r.Method, Host: r.Host, URI: r.RequestURI, Proto: r.Proto, Header: r.Header,
		BodyBytes: int(n), Time: time.Now(), Remote: r.RemoteAddr,
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		rec.Local = a.String()
	}
	if r.TLS != nil {
		rec.TLS, rec.SNI = true, r.TLS.ServerName
	}
	w.mu.Lock()
	w.requests = append(w.requests, rec)
	w.mu.Unlock()
	rw.Header().Set("Content-Type", "application/json")
	json.NewEncoder(rw).Encode(map[string]any{
		"upstream": rec.Local, "host": rec.Host, "method": rec.Method, "uri": rec.URI, "tls": rec.TLS, "body": n,
	})
}

// serveWeb listens on 80 and 8080 in plain, on 443 and 8443 with TLS.
func (n *Internet) serveWeb() error {
	for _, port := range []string{"80", "8080", "443", "8443"} {
		l, err := n.listen("[::]:" + port)
		if err != nil {
			return err
		}
		if strings.HasSuffix(port, "443") {
			l = tls.NewListener(l, &tls.Config{GetCertificate: n.ca.certificate})
		}
		srv := &http.Server{Handler: n.Web, ErrorLog: log.New(io.Discard, "", 0)}
		n.closers = append(n.closers, srv)
		go srv.Serve(l)
	}
	return nil
}

// authority is the private CA of the internet's HTTPS servers.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu    sync.Mutex
	cache map[string]*tls.Certificate
}

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test internet CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{file: filepath.Join(dir, "internet-ca.pem"), cert: cert, key: key, cache: map[string]*tls.Certificate{}}
	return a, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// certificate mints a leaf for whatever name the client asks for; without a
// name, for the address that it has reached.
func (a *authority) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := h.ServerName
	if name == "" {
		name, _, _ = net.SplitHostPort(h.Conn.LocalAddr().String())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.cache[name]; c != nil {
		return c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
	a.cache[name] = c
	return c, nil
}
