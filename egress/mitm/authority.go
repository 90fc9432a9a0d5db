package mitm

import (
	"container/list"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"sync"
	"time"
)

const (
	// authorityLife is how long a sandbox's authority is valid: longer than any
	// sandbox lives.
	authorityLife = 10 * 365 * 24 * time.Hour
	// leafLife is short of the 398 days that clients accept; leafRenew is how
	// long before its end a leaf is made anew.
	leafLife  = 30 * 24 * time.Hour
	leafRenew = 24 * time.Hour
	// clockSkew lets containers with a late clock accept what was just made.
	clockSkew = time.Hour
	// MaxLeaves bounds the certificates that are kept; the one that was not
	// used for longest goes first.
	MaxLeaves = 256
)

// Authority signs for the names that one sandbox connects to. It is safe for
// concurrent use.
type Authority struct {
	key  crypto.Signer
	cert *x509.Certificate
	pem  []byte

	mu     sync.Mutex
	leaf   *ecdsa.PrivateKey // all leaves have one key: the peer that sees it is the sandbox itself
	byName map[string]*list.Element
	used   *list.List // of *leafEntry, most recently used first
}

type leafEntry struct {
	name  string
	cert  *tls.Certificate
	until time.Time
}

// NewAuthority makes an authority with a new P-256 key.
func NewAuthority(now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"nemoclaw"}, CommonName: "nemoclaw sandbox " + serial.Text(16)[:8]},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	return newAuthority(key, der)
}

func newAuthority(key *ecdsa.PrivateKey, der []byte) (*Authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the leaves: %w", err)
	}
	return &Authority{
		key: key, cert: cert, leaf: leaf,
		pem:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		byName: make(map[string]*list.Element), used: list.New(),
	}, nil
}

// Marshal gives key and certificate as PEM, for LoadAuthority in the next
// supervisor. It must never reach a disk.
func (a *Authority) Marshal() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the authority's key: %w", err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), a.pem...), nil
}

// LoadAuthority reads what Marshal gave.
func LoadAuthority(b []byte) (*Authority, error) {
	keyBlock, rest := pem.Decode(b)
	certBlock, _ := pem.Decode(rest)
	if keyBlock == nil || certBlock == nil {
		return nil, errors.New("reading the authority: key or certificate is missing")
	}
	k, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's key: %w", err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("reading the authority's key: it is a %T", k)
	}
	return newAuthority(key, certBlock.Bytes)
}

// CertificatePEM is what clients in the sandbox have to trust.
func (a *Authority) CertificatePEM() []byte { return a.pem }

// Leaf returns a certificate for a canonical host name or an address.
func (a *Authority) Leaf(host string, now time.Time) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e, ok := a.byName[host]; ok {
		entry := e.Value.(*leafEntry)
		if now.Before(entry.until) {
			a.used.MoveToFront(e)
			return entry.cert, nil
		}
		a.drop(e)
	}
	cert, err := a.sign(host, now)
	if err != nil {
		return nil, err
	}
	a.byName[host] = a.used.PushFront(&leafEntry{host, cert, now.Add(leafLife - leafRenew)})
	if a.used.Len() > MaxLeaves {
		a.drop(a.used.Back())
	}
	return cert, nil
}

func (a *Authority) drop(e *list.Element) {
	delete(a.byName, e.Value.(*leafEntry).name)
	a.used.Remove(e)
}

func (a *Authority) sign(host string, now time.Time) (*tls.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		tmpl.IPAddresses = append(tmpl.IPAddresses, addr.AsSlice())
	} else {
		tmpl.DNSNames = []string{host}
	}
	if len(host) <= 64 { // ub-common-name, RFC 5280
		tmpl.Subject.CommonName = host
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %s: %w", host, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leaf}, nil
}

// newSerial is positive, of 127 bits (RFC 5280, 4.1.2.2), never a short one.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}
