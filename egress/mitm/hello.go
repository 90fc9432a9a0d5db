package mitm

import (
	"encoding/binary"
	"errors"
)

// MaxHello bounds a ClientHello in bytes, records and headers included: with
// post-quantum key shares they are near 2 KiB.
const MaxHello = 16 << 10

// Errors of ParseHello.
var (
	// ErrShort says that b is the beginning of a ClientHello and more is needed.
	ErrShort = errors.New("the ClientHello is not complete")
	// ErrNotHello says that b is not, and cannot become, a ClientHello.
	ErrNotHello = errors.New("not a TLS ClientHello")
)

// Hello is what a proxy needs of a ClientHello (RFC 8446, 4.1.2).
type Hello struct {
	ServerName string   // as sent; "" if absent
	ALPN       []string // as sent
	ECH        bool     // an encrypted_client_hello extension is there (RFC 9849)
}

// IsTLS reports whether a stream that starts with b is TLS: a handshake record
// of major version 3. False also when b is empty.
func IsTLS(b []byte) bool {
	return len(b) > 0 && b[0] == 22 && (len(b) < 2 || b[1] == 3)
}

// ParseHello reads a ClientHello at the start of a stream. It looks at nothing
// beyond it.
func ParseHello(b []byte) (*Hello, error) {
	msg, err := handshake(b)
	if err != nil {
		return nil, err
	}
	r := reader{b: msg}
	r.skip(2 + 32)  // legacy_version, random
	r.skip(r.u8())  // session id
	r.skip(r.u16()) // cipher suites
	r.skip(r.u8())  // compression methods
	h := new(Hello)
	if r.bad {
		return nil, ErrNotHello
	}
	if len(r.b) == 0 {
		return h, nil // no extensions: allowed before TLS 1.3
	}
	ext := reader{b: r.take(r.u16())}
	if r.bad || len(r.b) != 0 {
		return nil, ErrNotHello
	}
	return h, h.extensions(&ext)
}

// extensions fills h. An extension that comes twice is refused, as RFC 8446,
// 4.2 demands: servers differ in which of the two they take.
func (h *Hello) extensions(ext *reader) error {
	seen := make(map[int]bool)
	for len(ext.b) > 0 && !ext.bad {
		kind := ext.u16()
		body := reader{b: ext.take(ext.u16())}
		if seen[kind] {
			return ErrNotHello
		}
		seen[kind] = true
		switch kind {
		case 0:
			h.ServerName = body.serverName()
		case 16:
			list := reader{b: body.take(body.u16())}
			for len(list.b) > 0 && !list.bad {
				h.ALPN = append(h.ALPN, string(list.take(list.u8())))
			}
			body.bad = body.bad || list.bad
		case 0xfe0d:
			h.ECH = true
		}
		if body.bad {
			return ErrNotHello
		}
	}
	if ext.bad {
		return ErrNotHello
	}
	return nil
}

// handshake puts the ClientHello message together from its records.
func handshake(b []byte) ([]byte, error) {
	var msg []byte
	for used := 0; ; {
		if !IsTLS(b) && len(b) > 0 {
			return nil, ErrNotHello
		}
		if len(b) < 5 {
			return nil, ErrShort
		}
		n := int(binary.BigEndian.Uint16(b[3:]))
		if used += 5 + n; n == 0 || n > 16384 || used > MaxHello {
			return nil, ErrNotHello
		}
		msg = append(msg, b[5:min(len(b), 5+n)]...)
		if len(msg) > 0 && msg[0] != 1 {
			return nil, ErrNotHello
		}
		if len(msg) >= 4 {
			want := int(msg[1])<<16 | int(msg[2])<<8 | int(msg[3])
			if want > MaxHello {
				return nil, ErrNotHello
			}
			if len(msg) >= 4+want {
				return msg[4 : 4+want], nil
			}
		}
		if len(b) < 5+n {
			return nil, ErrShort
		}
		b = b[5+n:]
	}
}

// reader takes big-endian fields off a slice; after the first that does not
// fit, bad stays true and all values are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) skip(n int) { r.take(n) }

func (r *reader) u8() int {
	if b := r.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *reader) u16() int {
	if b := r.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

// serverName reads server_name (RFC 6066, 3): exactly one host_name.
func (r *reader) serverName() string {
	list := reader{b: r.take(r.u16())}
	kind := list.u8()
	name := list.take(list.u16())
	if list.bad || kind != 0 || len(list.b) != 0 || len(name) == 0 {
		r.bad = true
		return ""
	}
	return string(name)
}
