package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nemoclaw/nemoclaw/egress/dns"
)

// maxFlows bounds the connections of one namespace that are open at one time;
// further ones wait in the listener's backlog.
const maxFlows = 1024

// Proxy polices one network namespace. It is safe for concurrent use.
type Proxy struct {
	cfg   Config
	ctx   context.Context
	stop  context.CancelFunc
	known registry
	names nameLog
	flows chan struct{} // one token per connection, and per listener that waits
	open  atomic.Int64
	came  atomic.Bool

	rootsOnce sync.Once
	roots     *x509.CertPool
	sessions  tls.ClientSessionCache
}

// New makes a Proxy without containers: it denies everything.
func New(cfg Config) *Proxy {
	ctx, stop := context.WithCancel(context.Background())
	return &Proxy{
		cfg: cfg, ctx: ctx, stop: stop,
		flows:    make(chan struct{}, maxFlows),
		sessions: tls.NewLRUClientSessionCache(64),
	}
}

// Add puts a container under its policy; one of the same ID is replaced, and
// its connections are closed.
func (p *Proxy) Add(c Container) error { return p.known.add(p.ctx, c) }

// Remove forgets a container and closes its connections.
func (p *Proxy) Remove(id string) { p.known.remove(id) }

// Busy reports whether a connection is open, or was since the last call.
func (p *Proxy) Busy() bool {
	return p.open.Load() > 0 || p.came.Swap(false)
}

// Close ends every connection. Listeners are the caller's to close.
func (p *Proxy) Close() { p.stop() }

// ServeTCP takes the redirected connections of a listener until it is closed.
func (p *Proxy) ServeTCP(l *net.TCPListener) error {
	for {
		p.flows <- struct{}{}
		c, err := l.AcceptTCP()
		if err != nil {
			<-p.flows
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, or aborted by the peer
			continue
		}
		go func() {
			defer func() { <-p.flows }()
			p.serve(c)
		}()
	}
}

// ServeDNSUDP and ServeDNSTCP answer name queries until the socket is closed.
func (p *Proxy) ServeDNSUDP(sock *net.UDPConn) error { return dns.ServeUDP(p.ctx, sock, p.decideName) }

// ServeDNSTCP is ServeDNSUDP for queries over TCP.
func (p *Proxy) ServeDNSTCP(l *net.TCPListener) error { return dns.ServeTCP(p.ctx, l, p.decideName) }

// serve takes one connection from its first to its last byte.
func (p *Proxy) serve(c *net.TCPConn) {
	defer c.Close()
	p.came.Store(true)
	p.open.Add(1)
	defer p.open.Add(-1)
	f := &flow{proxy: p, client: c, began: time.Now()}
	defer f.close()
	if !f.arrive() {
		reset(c)
		return
	}
	f.run()
}

// rootPool is loaded at the first upstream TLS connection: most memory of a
// supervisor that needs none.
func (p *Proxy) rootPool() *x509.CertPool {
	p.rootsOnce.Do(func() {
		p.roots = x509.NewCertPool()
		if p.cfg.Roots != nil {
			if r := p.cfg.Roots(); r != nil {
				p.roots = r
			}
		}
	})
	return p.roots
}

// reset makes the close of c a RST: the agent sees a refused connection and
// not an empty answer.
func reset(c *net.TCPConn) { _ = c.SetLinger(0) }
