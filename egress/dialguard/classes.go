package dialguard

import "net/netip"

// class says what kind of address a block holds.
type class uint8

const (
	public class = iota
	// private may be dialled where policy names the host exactly or lists the address.
	private
	// never may not be dialled, whatever policy says.
	never
)

// block is one range with its class and the name that an error gives it.
type block struct {
	prefix netip.Prefix
	class  class
	what   string
}

// blocks are looked through in order; the first match counts, so single
// addresses come before the ranges that they lie in. Sources: the IANA
// special-purpose address registries (RFC 6890), and the clouds' documentation
// for metadata services. The documentation ranges of RFC 5737 and RFC 3849 are
// public on purpose: they are never routed, and tests live there.
func blocks() []block {
	return []block{
		{p("100.100.100.200/32"), never, "a metadata service"},  // Alibaba
		{p("168.63.129.16/32"), never, "a metadata service"},    // Azure wire server
		{p("192.0.0.192/32"), never, "a metadata service"},      // Oracle
		{p("169.254.0.0/16"), never, "link-local or metadata"},  // RFC 3927; EC2, GCE, Azure, ECS
		{p("0.0.0.0/8"), never, "this network"},                 // RFC 1122: Linux connects 0.0.0.0 to loopback
		{p("127.0.0.0/8"), never, "loopback"},                   // RFC 1122
		{p("224.0.0.0/4"), never, "multicast"},                  // RFC 5771
		{p("240.0.0.0/4"), never, "reserved or broadcast"},      // RFC 1112, RFC 919
		{p("10.0.0.0/8"), private, "private"},                   // RFC 1918
		{p("172.16.0.0/12"), private, "private"},                // RFC 1918
		{p("192.168.0.0/16"), private, "private"},               // RFC 1918
		{p("100.64.0.0/10"), private, "shared (CGNAT)"},         // RFC 6598
		{p("198.18.0.0/15"), private, "benchmarking"},           // RFC 2544
		{p("192.0.0.0/24"), private, "protocol assignments"},    // RFC 6890
		{p("192.88.99.0/24"), never, "6to4 relay"},              // RFC 7526
		{p("::/128"), never, "unspecified"},                     // RFC 4291
		{p("::1/128"), never, "loopback"},                       // RFC 4291
		{p("fd00:ec2::254/128"), never, "a metadata service"},   // EC2
		{p("fd20:ce::254/128"), never, "a metadata service"},    // GCE
		{p("fe80::/10"), never, "link-local"},                   // RFC 4291
		{p("ff00::/8"), never, "multicast"},                     // RFC 4291
		{p("fec0::/10"), private, "site-local"},                 // RFC 3879
		{p("fc00::/7"), private, "unique local"},                // RFC 4193
		{p("64:ff9b:1::/48"), private, "local-use NAT64"},       // RFC 8215
		{p("100::/64"), never, "discard"},                       // RFC 6666
		{p("5f00::/16"), never, "segment routing identifiers"},  // RFC 9602
		{p("2001:10::/28"), never, "deprecated ORCHID"},         // RFC 4843
		{p("2001:20::/28"), never, "ORCHIDv2, never on a wire"}, // RFC 7343
	}
}

func p(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// embeddings yields the IPv4 addresses that an IPv6 address carries inside it,
// for every form that some router or translator would send on to them.
func embeddings(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	var out []netip.Addr
	switch {
	case p("::/96").Contains(a), // IPv4-compatible, RFC 4291
		p("::ffff:0:0:0/96").Contains(a), // SIIT, RFC 2765
		p("64:ff9b::/96").Contains(a):    // NAT64, RFC 6052
		out = append(out, at(12))
	case p("64:ff9b:1::/48").Contains(a): // local-use NAT64: /96, /64, /56 and /48 layouts
		out = append(out, at(12), netip.AddrFrom4([4]byte{b[9], b[10], b[11], b[12]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}))
	case p("2002::/16").Contains(a): // 6to4, RFC 3056
		out = append(out, at(2))
	case p("2001::/32").Contains(a): // Teredo, RFC 4380: server, and client inverted
		out = append(out, at(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	// ISATAP, RFC 5214: any prefix, interface identifier [00|02]00:5efe:v4.
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		out = append(out, at(12))
	}
	return out
}
