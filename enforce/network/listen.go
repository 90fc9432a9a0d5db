package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// SocketKind names one socket of a Listeners; the words are those of package
// sandbox, which carries them.
type SocketKind string

// The sockets of a namespace. Those with a 6 are missing where the namespace
// has no IPv6 loopback address.
const (
	SocketTCP4    SocketKind = "tcp4"     // listener, 127.0.0.1
	SocketTCP6    SocketKind = "tcp6"     // listener, [::1]
	SocketDNSUDP4 SocketKind = "dns-udp4" // bound datagram socket
	SocketDNSUDP6 SocketKind = "dns-udp6"
	SocketDNSTCP4 SocketKind = "dns-tcp4" // listener
	SocketDNSTCP6 SocketKind = "dns-tcp6"
	SocketDiag    SocketKind = "sock-diag" // NETLINK_SOCK_DIAG
	// SocketIngress is where connections from outside are told of (package
	// ingress); missing where the kernel has no nfnetlink_log.
	SocketIngress SocketKind = "ingress-log"
)

// backlog is how many connections wait for the supervisor; the kernel takes
// the smaller of it and net.core.somaxconn (listen(2)).
const backlog = 4096

// Socket is one open socket of a namespace.
type Socket struct {
	Kind SocketKind
	File *os.File
}

// Listeners are the sockets of one namespace, opened inside it, close-on-exec.
type Listeners struct {
	Ports   Ports
	Sockets []Socket // in the order of the constants above
}

// Close closes every socket.
func (l *Listeners) Close() error {
	var errs []error
	for _, s := range l.Sockets {
		errs = append(errs, s.File.Close())
	}
	return errors.Join(errs...)
}

// wanted are the listeners to open, and where their port is kept.
func (l *Listeners) wanted() []want {
	v4, v6 := listeners4.Addr(), loopback6.Addr()
	p := &l.Ports
	return []want{
		{SocketTCP4, v4, unix.SOCK_STREAM, &p.TCP4},
		{SocketTCP6, v6, unix.SOCK_STREAM, &p.TCP6},
		{SocketDNSUDP4, v4, unix.SOCK_DGRAM, &p.DNSUDP4},
		{SocketDNSUDP6, v6, unix.SOCK_DGRAM, &p.DNSUDP6},
		{SocketDNSTCP4, v4, unix.SOCK_STREAM, &p.DNSTCP4},
		{SocketDNSTCP6, v6, unix.SOCK_STREAM, &p.DNSTCP6},
	}
}

type want struct {
	kind SocketKind
	addr netip.Addr
	typ  int
	port *uint16
}

// Listen opens the sockets of a namespace from inside it, on ports that the
// kernel chooses. The loopback interface must be up.
func Listen(netns *os.File) (*Listeners, error) {
	l := &Listeners{}
	err := in(netns, l.open)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening in %s: %w", netns.Name(), err), l.Close())
	}
	return l, nil
}

func (l *Listeners) open() error {
	for _, w := range l.wanted() {
		f, port, err := listen(w)
		if w.addr.Is6() && noIPv6(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("opening %s: %w", w.kind, err)
		}
		*w.port = port
		l.Sockets = append(l.Sockets, Socket{w.kind, f})
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("opening %s: %w", SocketDiag, err)
	}
	l.Sockets = append(l.Sockets, Socket{SocketDiag, os.NewFile(uintptr(fd), string(SocketDiag))})
	log, err := openLog()
	if err != nil {
		return fmt.Errorf("opening %s: %w", SocketIngress, err)
	}
	if log != nil {
		l.Ports.IngressLog = logGroup
		l.Sockets = append(l.Sockets, Socket{SocketIngress, log})
	}
	return nil
}

// noIPv6 tells a namespace without IPv6, or without ::1, from an error.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// listen opens one socket and returns the port that it got.
func listen(w want) (*os.File, uint16, error) {
	family, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: listeners4.Addr().As4()})
	if w.addr.Is6() {
		family, addr = unix.AF_INET6, &unix.SockaddrInet6{Addr: w.addr.As16()}
	}
	fd, err := unix.Socket(family, w.typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	f := os.NewFile(uintptr(fd), string(w.kind))
	port, err := bind(fd, addr, w.typ == unix.SOCK_STREAM)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, port, nil
}

func bind(fd int, addr unix.Sockaddr, stream bool) (uint16, error) {
	if err := unix.Bind(fd, addr); err != nil {
		return 0, err
	}
	if stream {
		if err := unix.Listen(fd, backlog); err != nil {
			return 0, err
		}
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port), nil
	case *unix.SockaddrInet6:
		return uint16(a.Port), nil
	}
	return 0, fmt.Errorf("reading the port of a %T", name)
}
