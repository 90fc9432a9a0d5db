package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nemoclaw/nemoclaw/egress/dns"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

const (
	// maxCached bounds the names that are kept resolved.
	maxCached = 256
	// resolveTimeout bounds one name, over all servers.
	resolveTimeout = 8 * time.Second
)

// engineResolver is the resolver that Docker puts into the namespace of a
// container on a user-defined network.
var engineResolver = netip.MustParseAddrPort("127.0.0.11:53")

// resolver finds the real addresses of names, after the verdict.
//
// Where the container has a network, the servers are asked from its namespace,
// so that a network without a way out stays one for names too. A server on this
// host's loopback (systemd-resolved) can only be asked from the host, and is
// asked only if the container's namespace has a way out. Docker's own resolver
// is asked for names that policy writes exactly: those of one label first and
// alone, others when the servers do not know them. When it forwards a question
// back into the namespace, our own name service answers, and the dial guard
// refuses that answer.
type resolver struct {
	servers []netip.AddrPort
	pool    netip.Prefix
	dialer  *dialer

	mu    sync.Mutex
	cache map[string]cached
}

type cached struct {
	addrs []netip.Addr
	until time.Time
}

func newResolver(cfg sandbox.DNS, d *dialer) *resolver {
	r := &resolver{pool: cfg.Pool, dialer: d, cache: make(map[string]cached)}
	for _, s := range cfg.Servers {
		if a, err := parseServer(s); err == nil {
			r.servers = append(r.servers, a)
		}
	}
	return r
}

// parseServer takes an address or address:port.
func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	return netip.ParseAddrPort(s)
}

// lookup gives the addresses of a canonical name, IPv4 before IPv6.
func (r *resolver) lookup(ctx context.Context, name string, exact bool) ([]netip.Addr, error) {
	key := name
	if exact {
		key += "="
	}
	if addrs, ok := r.cached(key); ok {
		return addrs, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, ttl, err := r.ask(ctx, name, exact)
	if err != nil {
		return nil, err
	}
	r.keep(key, addrs, ttl)
	return addrs, nil
}

func (r *resolver) ask(ctx context.Context, name string, exact bool) ([]netip.Addr, time.Duration, error) {
	here := r.dialer.place() == fromContainer
	service := !strings.Contains(name, ".")
	if service && here && exact {
		return r.askEngine(ctx, name)
	}
	if service {
		return nil, 0, fmt.Errorf("resolving %s: a name of one label is a service's, on a user-defined network: %w", name, dns.ErrNoSuchName)
	}
	servers := dns.Client{Servers: r.servers, Dial: r.dialServer}
	addrs, ttl, err := lookupBoth(ctx, &servers, name)
	if err == nil || !here || !exact {
		return addrs, ttl, err
	}
	if a, t, e := r.askEngine(ctx, name); e == nil {
		return a, t, nil
	}
	return nil, 0, err
}

// lookupBoth asks for IPv6 addresses only where there are no others.
func lookupBoth(ctx context.Context, c *dns.Client, name string) ([]netip.Addr, time.Duration, error) {
	addrs, ttl, err := c.Lookup(ctx, name, false)
	if errors.Is(err, dns.ErrNoSuchName) {
		return c.Lookup(ctx, name, true)
	}
	return addrs, ttl, err
}

// askEngine asks Docker's resolver, with a marked socket.
func (r *resolver) askEngine(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	engine := dns.Client{Servers: []netip.AddrPort{engineResolver}, Dial: r.dialer.dialMarked}
	addrs, ttl, err := lookupBoth(ctx, &engine, name)
	if err != nil {
		return nil, 0, err
	}
	addrs = slices.DeleteFunc(addrs, r.pool.Contains)
	if len(addrs) == 0 {
		return nil, 0, fmt.Errorf("resolving %s: the engine's resolver asked us: %w", name, dns.ErrNoSuchName)
	}
	return addrs, ttl, nil
}

// dialServer opens a socket to one of the configured servers.
func (r *resolver) dialServer(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error) {
	if r.dialer.place() == fromContainer && server.Addr().Unmap().IsLoopback() {
		if err := r.wayOut(ctx); err != nil {
			return nil, err
		}
		return dialHost(ctx, network, server)
	}
	return r.dialer.dial(ctx, network, server)
}

// wayOut asks the container's namespace for a route to the world. Connecting a
// datagram socket sends nothing.
func (r *resolver) wayOut(ctx context.Context) error {
	var err error
	for _, far := range []string{"198.51.100.1:53", "[2001:db8::1]:53"} {
		var c net.Conn
		if c, err = r.dialer.dialMarked(ctx, "udp", netip.MustParseAddrPort(far)); err == nil {
			c.Close()
			return nil
		}
	}
	return errors.Join(errors.New("the container's network has no way out"), err)
}

func (r *resolver) cached(key string) ([]netip.Addr, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.cache[key]
	return c.addrs, ok && time.Now().Before(c.until)
}

func (r *resolver) keep(key string, addrs []netip.Addr, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cache) >= maxCached {
		clear(r.cache)
	}
	r.cache[key] = cached{addrs, time.Now().Add(ttl)}
}
