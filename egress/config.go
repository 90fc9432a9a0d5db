package egress

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress/dialguard"
	"github.com/nemoclaw/nemoclaw/egress/dns"
	"github.com/nemoclaw/nemoclaw/egress/mitm"
	"github.com/nemoclaw/nemoclaw/egress/peer"
	"github.com/nemoclaw/nemoclaw/policy"
)

// Holder is one process that holds a socket.
type Holder struct {
	Container string
	PID       int // in the host's pid namespace
	Caller    policy.Caller
}

// Config is what a Proxy works with. Every field but Roots is needed.
type Config struct {
	Names *dns.Table
	CA    *mitm.Authority
	Guard *dialguard.Guard
	// Diag asks the namespace for the sockets in it.
	Diag *peer.Diag
	// Who asks for all holders of a socket, with the hashes of their programs
	// if hash is set.
	Who func(inode uint64, hash bool) ([]Holder, error)
	// Resolve gives the real addresses of a name, after the verdict. Exact says
	// that policy names the host without a wildcard.
	Resolve func(ctx context.Context, name string, exact bool) ([]netip.Addr, error)
	// Dial connects a TCP socket to exactly this address.
	Dial func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error)
	// Own gives the addresses of this host. While it fails nothing is dialled.
	Own func() ([]netip.Addr, error)
	// Roots gives what upstream servers are verified against; called once.
	// Nil: none, and no upstream TLS succeeds.
	Roots func() *x509.CertPool
}

// Container is one container of the namespace.
type Container struct {
	ID string
	// Document is the policy in force, and Digest names it in records.
	Document *policy.Document
	Digest   string
	// Log takes its records.
	Log *audit.Sink
}
