package policy

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
)

// payloadType names what an envelope of ours holds.
const payloadType = "application/vnd.nemoclaw.policy.v1+json"

// maxEnvelope bounds a signed policy, in bytes: base64 of JSON of a document.
const maxEnvelope = 3 * maxDocumentBytes

// Signed is a policy whose signature was checked.
type Signed struct {
	Text    []byte // the policy's bytes
	Name    string // of the policy: counters of different names are apart
	Counter uint64 // grows with each signature; an older one must not come back
	KeyID   string // of the key that signed
}

// envelope is a DSSE envelope (secure-systems-lab/dsse, envelope.md).
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"` // standard base64
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid,omitempty"`
	Sig   string `json:"sig"`
}

// statement is what is signed.
type statement struct {
	Name    string `json:"name"`
	Counter uint64 `json:"counter"`
	Policy  []byte `json:"policy"`
}

// Sign puts a policy into a signed envelope. The text must be a valid policy.
// The counter must be higher than that of every earlier envelope of this name,
// or hosts that have seen one will refuse it.
func Sign(text []byte, name string, counter uint64, key ed25519.PrivateKey) ([]byte, error) {
	if _, _, err := Parse("the policy to sign", text); err != nil {
		return nil, err
	}
	if name != "" && !isName(name) {
		return nil, fmt.Errorf("signing a policy: %q is not a name", printable(name))
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("signing a policy: the key is no Ed25519 key")
	}
	payload, err := json.Marshal(statement{Name: name, Counter: counter, Policy: text})
	if err != nil {
		return nil, fmt.Errorf("signing a policy: %w", err)
	}
	sig := ed25519.Sign(key, preAuthentication(payload))
	out, err := json.MarshalIndent(envelope{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures:  []signature{{KeyID: KeyID(public), Sig: base64.StdEncoding.EncodeToString(sig)}},
	}, "", "  ")
	return append(out, '\n'), err
}

// preAuthentication is DSSE's PAE: type and payload, each with its length.
func preAuthentication(payload []byte) []byte {
	head := "DSSEv1 " + strconv.Itoa(len(payloadType)) + " " + payloadType + " " + strconv.Itoa(len(payload)) + " "
	return append([]byte(head), payload...)
}

// Verify checks an envelope against the keys that are trusted, and gives what
// was signed. One good signature is enough. least is the highest counter seen
// before; an envelope with a lower one is refused.
func Verify(data []byte, keys []ed25519.PublicKey, least uint64) (*Signed, error) {
	if len(data) > maxEnvelope {
		return nil, fmt.Errorf("verifying a policy: %d bytes, at most %d are read", len(data), maxEnvelope)
	}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("verifying a policy: reading the envelope: %w", err)
	}
	if e.PayloadType != payloadType {
		return nil, fmt.Errorf("verifying a policy: the envelope holds %q", printable(e.PayloadType))
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return nil, fmt.Errorf("verifying a policy: reading the payload: %w", err)
	}
	id, ok := signedBy(&e, preAuthentication(payload), keys)
	if !ok {
		return nil, errors.New("verifying a policy: no signature of a trusted key")
	}
	var s statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fmt.Errorf("verifying a policy: reading the statement: %w", err)
	}
	if s.Counter < least {
		return nil, fmt.Errorf("verifying a policy: its counter is %d, but %d has been seen: an older policy cannot come back", s.Counter, least)
	}
	return &Signed{Text: s.Policy, Name: s.Name, Counter: s.Counter, KeyID: id}, nil
}

// signedBy gives the trusted key that signed. The envelope's key ids are hints
// and are not believed.
func signedBy(e *envelope, message []byte, keys []ed25519.PublicKey) (string, bool) {
	if len(e.Signatures) > 16 {
		return "", false
	}
	for _, s := range e.Signatures {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			continue
		}
		for _, k := range keys {
			if len(k) == ed25519.PublicKeySize && ed25519.Verify(k, message, sig) {
				return KeyID(k), true
			}
		}
	}
	return "", false
}

// KeyID names a key: the SHA-256 of its PKIX form, in hex, cut to 16 digits.
func KeyID(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "" // an Ed25519 key always marshals
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// ParsePublicKey reads a PEM block "PUBLIC KEY" with an Ed25519 key.
func ParsePublicKey(data []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("reading a public key: no PEM block PUBLIC KEY")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading a public key: %w", err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("reading a public key: it is no Ed25519 key")
	}
	return public, nil
}

// ParsePrivateKey reads a PEM block "PRIVATE KEY" with an Ed25519 key, as
// `openssl genpkey -algorithm ed25519` writes it.
func ParsePrivateKey(data []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("reading a private key: no PEM block PRIVATE KEY")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("reading a private key: the block holds none") // the cause could quote it
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("reading a private key: it is no Ed25519 key")
	}
	return private, nil
}
