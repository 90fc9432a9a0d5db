package network

import (
	"errors"
	"os"
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
)

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
func (l *Listeners) Close() error { return errors.ErrUnsupported }

// Listen opens the sockets of a namespace from inside it. The loopback
// interface must be up.
func Listen(netns *os.File) (*Listeners, error) { return nil, errors.ErrUnsupported }

// Cookie returns the namespace's cookie (SO_NETNS_COOKIE, socket(7)), which the
// kernel never gives out twice in one boot.
func Cookie(netns *os.File) (uint64, error) { return 0, errors.ErrUnsupported }

// LoopbackUp sets the namespace's loopback interface up, where it is not.
func LoopbackUp(netns *os.File) error { return errors.ErrUnsupported }

// AddLoopbackRoutes gives a namespace that has no interface but lo a default
// route by lo, of the lowest preference, so that there is something to
// redirect; where there is another interface it does nothing. It reports
// whether routes were added. To be called at start, when the engine has made
// its interfaces.
func AddLoopbackRoutes(netns *os.File) (bool, error) { return false, errors.ErrUnsupported }
