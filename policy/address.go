package policy

import "net/netip"

// refusedRange is a range that no policy can open, with its name.
type refusedRange struct {
	prefix netip.Prefix
	what   string
}

// refusedRanges lists what is never reached: RFC 6890's loopback, link-local
// and unspecified, and the metadata services of the clouds outside them.
func refusedRanges() [10]refusedRange {
	return [...]refusedRange{
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		{netip.MustParsePrefix("::1/128"), "loopback"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
		{netip.MustParsePrefix("fe80::/10"), "link-local"},
		{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
		{netip.MustParsePrefix("::/128"), "unspecified"},
		{netip.MustParsePrefix("100.100.100.200/32"), "metadata"},
		{netip.MustParsePrefix("168.63.129.16/32"), "metadata"},
		{netip.MustParsePrefix("fd00:ec2::254/128"), "metadata"},
		{netip.MustParsePrefix("fd20:ce::254/128"), "metadata"},
	}
}

// alwaysRefusedRange names what a prefix lies in, or "".
func alwaysRefusedRange(p netip.Prefix) string {
	for _, r := range refusedRanges() {
		if p.Bits() >= r.prefix.Bits() && r.prefix.Contains(p.Addr()) {
			return r.what
		}
	}
	return ""
}

// RefusedAddress reports whether no policy may ever reach the address:
// loopback, link-local, metadata, unspecified, multicast, broadcast, and every
// form that embeds such an IPv4 address (mapped, compatible, NAT64, 6to4).
func RefusedAddress(a netip.Addr) bool {
	if !a.IsValid() {
		return true
	}
	a = a.WithZone("").Unmap()
	if a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast() || a.IsInterfaceLocalMulticast() {
		return true
	}
	if a.Is4() {
		return refused4(a.As4())
	}
	b := a.As16()
	if v4, ok := embedded4(b); ok {
		return RefusedAddress(netip.AddrFrom4(v4)) || privateAddress(netip.AddrFrom4(v4))
	}
	return b == [16]byte{0xfd, 0, 0x0e, 0xc2, 14: 2, 15: 0x54} || b == [16]byte{0xfd, 0x20, 0, 0xce, 14: 2, 15: 0x54}
}

// refused4 covers 0.0.0.0/8, broadcast, and the metadata services that are
// not link-local.
func refused4(b [4]byte) bool {
	return b[0] == 0 || b == [4]byte{255, 255, 255, 255} || b == [4]byte{100, 100, 100, 200} || b == [4]byte{168, 63, 129, 16}
}

// embedded4 gives the IPv4 address inside an IPv6 one: IPv4-compatible
// (RFC 4291), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056).
func embedded4(b [16]byte) ([4]byte, bool) {
	last := [4]byte{b[12], b[13], b[14], b[15]}
	zero := true
	for _, x := range b[:12] {
		zero = zero && x == 0
	}
	switch {
	case zero:
		return last, true
	case b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b:
		if b[5] != 0 {
			return [4]byte{}, true // RFC 8215: local use, the place of the address is not known
		}
		return last, true
	case b[0] == 0x20 && b[1] == 1 && b[2] == 0 && b[3] == 0:
		return [4]byte{}, true // Teredo (RFC 4380): the address is obfuscated
	case b[0] == 0x20 && b[1] == 0x02:
		return [4]byte{b[2], b[3], b[4], b[5]}, true
	}
	return [4]byte{}, false
}

// privateAddress reports RFC 1918, shared (RFC 6598) and unique local addresses:
// reached only through an exact host or allowed_ips.
func privateAddress(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if a.IsPrivate() {
		return true
	}
	if !a.Is4() {
		return false
	}
	b := a.As4()
	return b[0] == 100 && b[1]&0xc0 == 64
}

// refusedPort reports the ports of cluster control planes, which no policy can
// open: etcd, the Kubernetes API and the kubelet.
func refusedPort(port uint16) bool {
	switch port {
	case 2379, 2380, 6443, 10250, 10255, 0:
		return true
	}
	return false
}

// RefusedPort reports whether no policy may ever reach the port.
func RefusedPort(port uint16) bool { return refusedPort(port) }

// Permits reports whether an allowed connection may go to this resolved
// address: never a refused one, inside every allowed_ips list, and a private
// one only where ExactHost says so.
func (d *Decision) Permits(a netip.Addr) bool {
	if d.Verdict == Deny || RefusedAddress(a) {
		return false
	}
	a = a.WithZone("").Unmap()
	if d.AllowedIPs != nil && !inside(d.AllowedIPs, a) {
		return false
	}
	for _, list := range d.WithinIPs {
		if list != nil && !inside(list, a) {
			return false
		}
	}
	return d.ExactHost || !privateAddress(a)
}

func inside(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
