package egress

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress/dialguard"
	"github.com/nemoclaw/nemoclaw/policy"
)

// failure is why an allowed connection does not come about: a further decision
// (the dial guard's), or the world's fault.
type failure struct {
	policy.Decision
	status int // of the answer to a request: 403 or 502
	err    error
}

func (e *failure) Error() string { return e.err.Error() }

// open resolves the destination, looks at each address, and dials exactly one
// of them. The verdict has been given and recorded; a refusal by the dial guard
// is recorded here.
func (f *flow) open() (*net.TCPConn, *failure) {
	addrs, err := f.addresses()
	if err != nil {
		return nil, f.fail(ReasonNotResolved, 502, err)
	}
	own, err := f.proxy.cfg.Own()
	if err != nil {
		return nil, f.fail(ReasonInternal, 502, err)
	}
	for _, a := range addrs {
		if err := f.permit(a, own); err != nil {
			return nil, f.fail(guardReason(err), 403, err)
		}
	}
	err = errors.New("there is no address to dial")
	for _, a := range addrs {
		var c *net.TCPConn
		if c, err = f.proxy.cfg.Dial(f.ctx, netip.AddrPortFrom(a, f.dst.Port())); err == nil {
			f.upstream = a
			return c, nil
		}
		if f.ctx.Err() != nil {
			break
		}
	}
	return nil, f.fail(ReasonUpstream, 502, err)
}

func (f *flow) addresses() ([]netip.Addr, error) {
	if f.host == "" {
		return []netip.Addr{f.dst.Addr()}, nil
	}
	return f.proxy.cfg.Resolve(f.ctx, f.host, f.verdict.ExactHost)
}

// permit is the last look at an address: ours, and policy's own.
func (f *flow) permit(a netip.Addr, own []netip.Addr) error {
	err := f.proxy.cfg.Guard.Check(dialguard.Target{
		Addr: a, Port: f.dst.Port(), Exact: f.verdict.ExactHost, Allowed: f.verdict.AllowedIPs, Own: own,
	})
	if err != nil {
		return err
	}
	if !f.verdict.Permits(a) {
		return &dialguard.Refusal{Kind: dialguard.KindNotListed, Addr: a, Port: f.dst.Port(), What: "the policy or its ceiling does not permit it"}
	}
	return nil
}

func guardReason(err error) policy.Reason {
	var r *dialguard.Refusal
	if errors.As(err, &r) {
		switch r.Kind {
		case dialguard.KindPort:
			return policy.ReasonPortRefused
		case dialguard.KindNotListed:
			return policy.ReasonAddressNotAllowed
		}
	}
	return policy.ReasonAddressRefused
}

// fail makes a failure, and records it.
func (f *flow) fail(reason policy.Reason, status int, err error) *failure {
	d := f.verdict
	d.Verdict, d.Reason, d.Why = policy.Deny, reason, err.Error()
	f.note = d.Why
	f.record(f.event(audit.KindConnect, &d))
	return &failure{Decision: d, status: status, err: err}
}

// openTLS is open, with TLS on top, verified against the name.
func (f *flow) openTLS() (net.Conn, *failure) {
	c, fail := f.open()
	if fail != nil {
		return nil, fail
	}
	t := tls.Client(c, &tls.Config{
		ServerName:         f.target(),
		RootCAs:            f.proxy.rootPool(),
		NextProtos:         []string{"http/1.1"},
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: f.proxy.sessions,
	})
	if err := t.HandshakeContext(f.ctx); err != nil {
		c.Close()
		return nil, f.fail(ReasonUpstream, 502, tlsHint(err))
	}
	return t, nil
}

// tlsHint says what can be done where the server wants more than we can give.
func tlsHint(err error) error {
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return fmt.Errorf("TLS with the server: %w (a server that asks for a client certificate needs an endpoint with tls: skip)", err)
	}
	return fmt.Errorf("TLS with the server: %w", err)
}
