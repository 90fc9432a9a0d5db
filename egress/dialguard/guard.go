package dialguard

import (
	"fmt"
	"net/netip"
)

// Guard knows what is never dialled from this machine. The zero Guard knows the
// address classes alone; it is read-only once made and safe for concurrent use.
type Guard struct {
	table []block
	pool  netip.Prefix
}

// New makes a Guard that also refuses pool, the block of our own answers.
func New(pool netip.Prefix) *Guard { return &Guard{table: blocks(), pool: pool} }

// Target is one address about to be dialled, with what policy says of it.
type Target struct {
	Addr netip.Addr
	Port uint16
	// Exact: policy names the host, or this literal address, without wildcard.
	Exact bool
	// Allowed is allowed_ips of the rule. Not nil: the address must be inside.
	Allowed []netip.Prefix
	// Own are the addresses of this host's interfaces.
	Own []netip.Addr
}

// Kind says what a Refusal is about.
type Kind uint8

// The kinds of Refusal. The zero value is not used.
const (
	_ Kind = iota
	// KindAlways: no policy can allow it.
	KindAlways
	// KindNotListed: policy could allow it and does not.
	KindNotListed
	// KindPort: a port that is always refused.
	KindPort
)

// Refusal is why an address is not dialled.
type Refusal struct {
	Kind Kind
	Addr netip.Addr
	Port uint16
	What string // the class of the address
}

// Error names the address and its class.
func (r *Refusal) Error() string {
	if r.Kind == KindPort {
		return fmt.Sprintf("port %d is never dialled", r.Port)
	}
	return fmt.Sprintf("address %s is not dialled: %s", r.Addr, r.What)
}

// RefusedPort reports whether a port is refused to every address: etcd's two,
// the Kubernetes API server's, and the kubelet's two.
func RefusedPort(port uint16) bool {
	switch port {
	case 0, 2379, 2380, 6443, 10250, 10255:
		return true
	}
	return false
}

// Check returns nil when t may be dialled, else a *Refusal. An address with a
// zone is refused, because only link-local ones have a use for it.
func (g *Guard) Check(t Target) error {
	refuse := func(k Kind, what string) error {
		return &Refusal{Kind: k, Addr: t.Addr, Port: t.Port, What: what}
	}
	if RefusedPort(t.Port) {
		return refuse(KindPort, "")
	}
	if !t.Addr.IsValid() || t.Addr.Zone() != "" {
		return refuse(KindAlways, "it is not a plain address")
	}
	addr := t.Addr.Unmap()
	worst, what := g.classOf(addr, t.Own)
	for _, inner := range embeddings(addr) {
		if c, w := g.classOf(inner, t.Own); c > worst {
			worst, what = c, w+", embedded"
		}
	}
	if worst == never {
		return refuse(KindAlways, what)
	}
	listed := contains(t.Allowed, addr)
	if t.Allowed != nil && !listed {
		return refuse(KindNotListed, "it is outside allowed_ips")
	}
	if worst == public || t.Exact || listed {
		return nil
	}
	return refuse(KindNotListed, what)
}

// classOf looks one address up, without regard to what it embeds.
func (g *Guard) classOf(addr netip.Addr, own []netip.Addr) (class, string) {
	if g.pool.IsValid() && g.pool.Contains(addr) {
		return never, "one of our own answers"
	}
	for _, o := range own {
		if o.Unmap().WithZone("") == addr {
			return never, "an address of this host"
		}
	}
	for i := range g.table {
		if b := &g.table[i]; b.prefix.Contains(addr) {
			return b.class, b.what
		}
	}
	if !addr.Is4() && !globalUnicast.Contains(addr) && !translated(addr) {
		return never, "not global unicast"
	}
	return public, ""
}

// globalUnicast is what IANA hands out of IPv6 (RFC 4291, 2.4).
var globalUnicast = netip.MustParsePrefix("2000::/3")

// translated reports the forms outside globalUnicast that are judged by the
// IPv4 address they carry.
func translated(a netip.Addr) bool {
	return p("64:ff9b::/96").Contains(a)
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
