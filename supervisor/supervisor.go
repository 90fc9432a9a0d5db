package supervisor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress"
	"github.com/nemoclaw/nemoclaw/egress/dialguard"
	"github.com/nemoclaw/nemoclaw/egress/dns"
	"github.com/nemoclaw/nemoclaw/egress/mitm"
	"github.com/nemoclaw/nemoclaw/egress/peer"
	"github.com/nemoclaw/nemoclaw/policy"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

const (
	// gcPercent and memoryGoal keep the heap small: there is one supervisor per
	// sandbox, idle most of its life.
	gcPercent  = 50
	memoryGoal = 48 << 20
	// settled is when start-up is over, and out of the agent's way.
	settled = 300 * time.Millisecond
	// maxAuthority bounds the memfd that the authority comes in.
	maxAuthority = 64 << 10
	// maxRoots bounds a file of root certificates.
	maxRoots = 16 << 20
)

// errOrder says that the broker asks for things in the wrong order.
var errOrder = errors.New("asked for out of order")

// supervisor is the process's state, guarded by mu: the broker sends one
// request at a time, but nothing relies on it.
type supervisor struct {
	link *sandbox.Link

	mu       sync.Mutex
	booted   bool
	ca       *mitm.Authority
	names    *dns.Table
	pool     sandbox.DNS
	roots    []*os.File
	dialer   *dialer
	proxy    *egress.Proxy // nil before attach
	logFiles map[string]*os.File
}

// Run serves the broker at the other end of sock until it goes away. It never
// returns before; the caller exits then, which closes everything.
func Run(sock *os.File) error {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryGoal)
	conn, err := sandbox.FileConn(sock)
	if err != nil {
		return err
	}
	s := &supervisor{logFiles: make(map[string]*os.File)}
	s.link = sandbox.NewLink(conn, s.handle)
	return s.link.Serve()
}

// handle answers the broker. Whatever is not known is refused.
func (s *supervisor) handle(f *sandbox.Frame, files []*os.File) (*sandbox.Frame, []*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var reply *sandbox.Frame
	var err error
	switch {
	case f.Kind == sandbox.FrameBoot && f.Boot != nil:
		reply, err = s.boot(f.Boot, files)
	case f.Kind == sandbox.FrameAttach && f.Attach != nil:
		err = s.attach(f.Attach, files)
	case f.Kind == sandbox.FrameAdd && f.Container != nil:
		err = s.add(f.Container, files)
	case f.Kind == sandbox.FrameStart && s.booted:
		s.dialer.open(f.DialHere)
		time.AfterFunc(settled, sandbox.GiveBack)
	case f.Kind == sandbox.FrameRemove && s.proxy != nil:
		s.remove(f.ContainerID)
	default:
		err = fmt.Errorf("%s: %w", f.Kind, errOrder)
	}
	if err != nil {
		closeAll(files)
	}
	return reply, nil, err
}

// boot hardens the process and makes or loads what outlives it.
func (s *supervisor) boot(b *sandbox.Boot, files []*os.File) (*sandbox.Frame, error) {
	if s.booted || len(files) < 2 {
		return nil, fmt.Errorf("boot with %d descriptors: %w", len(files), errOrder)
	}
	if err := harden(b.Seccomp); err != nil {
		return nil, err
	}
	ca, err := authority(files[0], time.Now())
	if err != nil {
		return nil, err
	}
	names, err := dns.NewTable(b.DNS.Pool, files[1])
	if err != nil {
		return nil, err
	}
	s.ca, s.names, s.pool, s.roots = ca, names, b.DNS, files[2:]
	s.dialer = newDialer(s.link)
	s.booted = true
	return &sandbox.Frame{Booted: &sandbox.Booted{CACert: ca.CertificatePEM()}}, nil
}

// authority loads what an earlier supervisor kept in store, or makes a new one
// and keeps it there.
func authority(store *os.File, now time.Time) (*mitm.Authority, error) {
	kept, err := io.ReadAll(io.NewSectionReader(store, 0, maxAuthority))
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	if len(kept) > 0 {
		return mitm.LoadAuthority(kept)
	}
	ca, err := mitm.NewAuthority(now)
	if err != nil {
		return nil, err
	}
	keep, err := ca.Marshal()
	if err != nil {
		return nil, err
	}
	if _, err := store.WriteAt(keep, 0); err != nil {
		return nil, fmt.Errorf("keeping the authority: %w", err)
	}
	return ca, nil
}

// attach takes the sockets of the namespace and begins to answer.
func (s *supervisor) attach(a *sandbox.Attach, files []*os.File) error {
	if !s.booted || s.proxy != nil || len(files) != len(a.Sockets) {
		return fmt.Errorf("attach with %d of %d sockets: %w", len(files), len(a.Sockets), errOrder)
	}
	by := make(map[sandbox.SocketKind]*os.File)
	for i, kind := range a.Sockets {
		by[kind] = files[i]
	}
	if by[sandbox.SocketDiag] == nil {
		return fmt.Errorf("attach without sock_diag: %w", errOrder)
	}
	diag, err := peer.New(by[sandbox.SocketDiag])
	if err != nil {
		return err
	}
	resolver := newResolver(s.pool, s.dialer)
	proxy := egress.New(egress.Config{
		Names: s.names, CA: s.ca, Guard: dialguard.New(s.names.Pool()), Diag: diag,
		Who: s.who, Resolve: resolver.lookup, Dial: s.dialer.tcp, Own: s.dialer.own, Roots: s.rootPool,
	})
	if err := serve(proxy, by); err != nil {
		proxy.Close()
		return err
	}
	s.proxy = proxy
	go sandbox.GiveBackWhenQuiet(proxy.Busy)
	if f := by[sandbox.SocketIngress]; f != nil {
		go watchIngress(proxy, f)
	}
	return nil
}

// serve starts one goroutine per socket. A listener that fails ends the process:
// the broker starts another.
func serve(p *egress.Proxy, by map[sandbox.SocketKind]*os.File) error {
	for _, kind := range []sandbox.SocketKind{sandbox.SocketTCP4, sandbox.SocketTCP6, sandbox.SocketDNSTCP4, sandbox.SocketDNSTCP6} {
		l, err := listener(by[kind])
		if err != nil {
			return fmt.Errorf("using %s: %w", kind, err)
		}
		switch {
		case l == nil:
		case kind == sandbox.SocketTCP4 || kind == sandbox.SocketTCP6:
			go must(func() error { return p.ServeTCP(l) })
		default:
			go must(func() error { return p.ServeDNSTCP(l) })
		}
	}
	for _, kind := range []sandbox.SocketKind{sandbox.SocketDNSUDP4, sandbox.SocketDNSUDP6} {
		f := by[kind]
		if f == nil {
			continue
		}
		c, err := net.FilePacketConn(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("using %s: %w", kind, err)
		}
		sock, ok := c.(*net.UDPConn)
		if !ok {
			return fmt.Errorf("using %s: it is a %T", kind, c)
		}
		go must(func() error { return p.ServeDNSUDP(sock) })
	}
	return nil
}

func listener(f *os.File) (*net.TCPListener, error) {
	if f == nil {
		return nil, nil
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	tl, ok := l.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("it is a %T", l)
	}
	return tl, nil
}

func must(serve func() error) {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "nemoclaw-supervisor:", err)
		os.Exit(1)
	}
}

// add puts a container under its policy, with the log that came with it.
func (s *supervisor) add(c *sandbox.Container, files []*os.File) error {
	if s.proxy == nil || len(files) != 1 || c.Policy == nil {
		return fmt.Errorf("add: %w", errOrder)
	}
	log, err := audit.New(files[0])
	if err != nil {
		return err
	}
	err = s.proxy.Add(egress.Container{ID: c.ID, Document: c.Policy, Digest: c.PolicyDigest, Log: log})
	if err != nil {
		return err
	}
	if old := s.logFiles[c.ID]; old != nil {
		old.Close()
	}
	s.logFiles[c.ID] = files[0]
	return nil
}

func (s *supervisor) remove(id string) {
	s.proxy.Remove(id)
	if f := s.logFiles[id]; f != nil {
		delete(s.logFiles, id)
		// Connections that are being closed still write their last record.
		time.AfterFunc(time.Second, func() { f.Close() })
	}
}

// who asks the broker for the holders of a socket.
func (s *supervisor) who(inode uint64, hash bool) ([]egress.Holder, error) {
	reply, files, err := s.link.Call(&sandbox.Frame{Kind: sandbox.FrameWho, Who: &sandbox.Who{Inode: inode, Hash: hash}})
	closeAll(files)
	if err != nil {
		return nil, err
	}
	out := make([]egress.Holder, len(reply.Holders))
	for i, h := range reply.Holders {
		caller := policy.Caller{Executable: executable(h.Program)}
		for _, a := range h.Ancestors {
			caller.Ancestors = append(caller.Ancestors, executable(a))
		}
		out[i] = egress.Holder{Container: h.Container, PID: h.PID, Caller: caller}
	}
	return out, nil
}

func executable(p sandbox.Program) policy.Executable {
	return policy.Executable{Path: p.Exe, SHA256: p.SHA256}
}

// rootPool reads the files of root certificates. A file that holds none adds
// none; without any, no upstream TLS succeeds.
func (s *supervisor) rootPool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, f := range s.roots {
		if pem, err := io.ReadAll(io.NewSectionReader(f, 0, maxRoots)); err == nil {
			pool.AppendCertsFromPEM(pem)
		}
	}
	debug.FreeOSMemory()
	return pool
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
