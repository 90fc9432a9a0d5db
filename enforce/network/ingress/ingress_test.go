package ingress

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

// message wraps a packet as the kernel does, behind an attribute of another kind.
func message(packet []byte) []byte {
	attr := func(kind uint16, data []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(data)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	body := append([]byte{2, 0, 0, 1}, attr(1, []byte{0, 1, 2})...)
	body = append(body, attr(payload, packet)...)
	m := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	m = binary.NativeEndian.AppendUint16(m, packetType)
	return append(append(m, make([]byte, 10)...), body...)
}

func v4(options int) []byte {
	p := make([]byte, 20+options+20)
	p[0], p[9] = byte(0x40|(20+options)/4), protoTCP
	copy(p[12:], []byte{192, 0, 2, 1})
	binary.BigEndian.PutUint16(p[20+options:], 50000)
	binary.BigEndian.PutUint16(p[22+options:], 18789)
	return p
}

func v6() []byte {
	p := make([]byte, 60)
	p[0], p[6] = 0x60, protoTCP
	src := netip.MustParseAddr("2001:db8::1").As16()
	copy(p[8:], src[:])
	binary.BigEndian.PutUint16(p[40:], 50001)
	binary.BigEndian.PutUint16(p[42:], 80)
	return p
}

func TestParse(t *testing.T) {
	udp, short, odd := v4(0), v4(0)[:22], v4(0)
	udp[9], odd[0] = 17, 0x41
	one := Connection{netip.MustParseAddrPort("192.0.2.1:50000"), 18789}
	two := Connection{netip.MustParseAddrPort("[2001:db8::1]:50001"), 80}
	for name, tt := range map[string]struct {
		in   []byte
		want []Connection
	}{
		"IPv4":              {message(v4(0)), []Connection{one}},
		"IPv4 with options": {message(v4(40)), []Connection{one}},
		"IPv6":              {message(v6()), []Connection{two}},
		"two":               {append(message(v4(0)), message(v6())...), []Connection{one, two}},
		"UDP":               {message(udp), nil},
		"cut off":           {message(short), nil},
		"header too short":  {message(odd), nil},
		"empty":             {message(nil), nil},
		"nothing":           {nil, nil},
		"cut message":       {message(v4(0))[:30], nil},
		"size of nothing":   {make([]byte, 64), nil},
	} {
		if got := Parse(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	var many []byte
	for range 200 {
		many = append(many, message(v4(0))...)
	}
	if got := len(Parse(many)); got != maxReported {
		t.Errorf("%d connections of one message", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message(v4(0)))
	f.Add(message(v6()))
	f.Add(append(message(v4(12)), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range Parse(b) {
			if !c.From.IsValid() {
				t.Errorf("%+v", c)
			}
		}
	})
}
