package dialguard

import (
	"errors"
	"net/netip"
	"testing"
)

func TestCheck(t *testing.T) {
	g := New(netip.MustParsePrefix("28.192.0.0/16"))
	own := []netip.Addr{netip.MustParseAddr("198.51.100.77"), netip.MustParseAddr("2001:db8::77")}
	list := func(s ...string) (out []netip.Prefix) {
		for _, x := range s {
			out = append(out, netip.MustParsePrefix(x))
		}
		return out
	}
	tests := []struct {
		addr    string
		port    uint16
		exact   bool
		allowed []netip.Prefix
		want    Kind // 0: may be dialled
	}{
		{addr: "93.184.216.34", want: 0},
		{addr: "198.51.100.1", want: 0}, // documentation ranges stand for the internet in tests
		{addr: "2001:db8::1", want: 0},
		{addr: "2606:2800:220:1::1", want: 0},
		{addr: "93.184.216.34", port: 2379, want: KindPort},
		{addr: "93.184.216.34", port: 10255, want: KindPort},
		{addr: "10.0.0.1", want: KindNotListed},
		{addr: "10.0.0.1", exact: true, want: 0},
		{addr: "10.0.0.1", allowed: list("10.0.0.0/24"), want: 0},
		{addr: "10.0.1.1", exact: true, allowed: list("10.0.0.0/24"), want: KindNotListed},
		{addr: "93.184.216.34", allowed: list("10.0.0.0/24"), want: KindNotListed},
		{addr: "93.184.216.34", allowed: []netip.Prefix{}, want: KindNotListed},
		{addr: "100.64.0.1", want: KindNotListed},
		{addr: "198.18.0.1", want: KindNotListed},
		{addr: "fd12::1", want: KindNotListed},
		{addr: "fd12::1", exact: true, want: 0},
		{addr: "127.0.0.1", exact: true, allowed: list("127.0.0.0/8"), want: KindAlways},
		{addr: "0.0.0.0", exact: true, want: KindAlways},
		{addr: "169.254.169.254", exact: true, allowed: list("169.254.0.0/16"), want: KindAlways},
		{addr: "100.100.100.200", exact: true, want: KindAlways},
		{addr: "168.63.129.16", exact: true, want: KindAlways},
		{addr: "fd00:ec2::254", exact: true, want: KindAlways},
		{addr: "255.255.255.255", exact: true, want: KindAlways},
		{addr: "224.0.0.1", exact: true, want: KindAlways},
		{addr: "::1", exact: true, want: KindAlways},
		{addr: "::", exact: true, want: KindAlways},
		{addr: "fe80::1", exact: true, want: KindAlways},
		{addr: "fe80::1%eth0", exact: true, want: KindAlways},
		{addr: "2001:db8::1%eth0", exact: true, want: KindAlways},
		{addr: "ff02::1", exact: true, want: KindAlways},
		{addr: "28.192.3.4", exact: true, want: KindAlways},
		{addr: "198.51.100.77", exact: true, want: KindAlways},
		{addr: "2001:db8::77", exact: true, want: KindAlways},
		{addr: "4000::1", exact: true, want: KindAlways},
		// Embeddings.
		{addr: "::ffff:127.0.0.1", exact: true, want: KindAlways},
		{addr: "::ffff:10.0.0.1", want: KindNotListed},
		{addr: "::ffff:10.0.0.1", exact: true, want: 0},
		{addr: "::127.0.0.1", exact: true, want: KindAlways},
		{addr: "::ffff:0:127.0.0.1", exact: true, want: KindAlways},
		{addr: "64:ff9b::7f00:1", exact: true, want: KindAlways},
		{addr: "64:ff9b::a9fe:a9fe", exact: true, want: KindAlways},
		{addr: "64:ff9b::5db8:d822", want: 0},
		{addr: "64:ff9b::a00:1", want: KindNotListed},
		{addr: "64:ff9b:1::a9fe:a9fe", exact: true, want: KindAlways},
		{addr: "2002:7f00:1::1", exact: true, want: KindAlways},
		{addr: "2002:a00:1::1", want: KindNotListed},
		{addr: "2001:0:7f00:1::", exact: true, want: KindAlways},
		{addr: "2001:0:5db8:d822::80ff:fffe", exact: true, want: KindAlways}, // client 127.0.0.1, inverted
		{addr: "2001:db8::5efe:127.0.0.1", exact: true, want: KindAlways},
		{addr: "2001:db8::200:5efe:a9fe:a9fe", exact: true, want: KindAlways},
		{addr: "64:ff9b::1cc0:304", exact: true, want: KindAlways},    // our pool behind NAT64
		{addr: "2002:c633:644d::1", exact: true, want: KindAlways},    // this host behind 6to4
		{addr: "::ffff:28.192.0.1", exact: true, want: KindAlways},    // our pool, mapped
		{addr: "::ffff:198.51.100.77", exact: true, want: KindAlways}, // this host, mapped
	}
	for _, tt := range tests {
		port := tt.port
		if port == 0 {
			port = 443
		}
		err := g.Check(Target{Addr: netip.MustParseAddr(tt.addr), Port: port, Exact: tt.exact, Allowed: tt.allowed, Own: own})
		var r *Refusal
		var got Kind
		if errors.As(err, &r) {
			got = r.Kind
		}
		if got != tt.want {
			t.Errorf("%s:%d exact=%v allowed=%v: kind %d (%v), want %d", tt.addr, port, tt.exact, tt.allowed, got, err, tt.want)
		}
	}
	if err := g.Check(Target{Port: 443, Exact: true}); err == nil {
		t.Error("the zero address may be dialled")
	}
}

// FuzzCheck holds what must be true of every address: nothing is dialled that
// lies in a block of class never, by itself or mapped.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "::1", "64:ff9b::7f00:1", "2001:db8::5efe:127.0.0.1"} {
		b, _ := netip.MustParseAddr(s).MarshalBinary()
		f.Add(b)
	}
	g := New(netip.MustParsePrefix("28.192.0.0/16"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		err := g.Check(Target{Addr: a, Port: 443, Exact: true})
		if err == nil && (a.Unmap().IsLoopback() || a.Unmap().IsLinkLocalUnicast() || a.Unmap().IsMulticast() || a.Unmap().IsUnspecified()) {
			t.Errorf("%s may be dialled", a)
		}
		if a.Is4() {
			mapped := netip.AddrFrom16(a.As16())
			if (g.Check(Target{Addr: mapped, Port: 443, Exact: true}) == nil) != (err == nil) {
				t.Errorf("%s and %s differ", a, mapped)
			}
		}
	})
}
