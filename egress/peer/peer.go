package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoSocket says that the namespace has no such socket (any more), or that
// no process can hold it: its inode is 0 once it is closed.
var ErrNoSocket = errors.New("no such socket in the namespace")

// Socket is what the kernel knows of one socket.
type Socket struct {
	Inode uint64
	UID   uint32
}

// Diag asks one namespace. It is safe for concurrent use; questions are asked
// one after the other, each takes some ten microseconds.
type Diag struct {
	mu   sync.Mutex
	sock *os.File
	fd   int
	seq  uint32
	buf  []byte
}

// answerTimeout bounds the wait for the kernel, which answers at once.
const answerTimeout = time.Second

// New makes a Diag of a NETLINK_SOCK_DIAG socket, which it takes over.
func New(sock *os.File) (*Diag, error) {
	fd := int(sock.Fd()) // Fd makes it blocking: bound each wait
	tv := unix.NsecToTimeval(int64(answerTimeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return nil, fmt.Errorf("bounding the wait for sock_diag: %w", err)
	}
	// Numbers of an earlier supervisor on the same socket must not be met again.
	return &Diag{sock: sock, fd: fd, seq: uint32(time.Now().UnixNano()), buf: make([]byte, 32<<10)}, nil
}

// Close closes the netlink socket.
func (d *Diag) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sock.Close()
}

// TCP finds the agent's end of a connection: local is its address, remote the
// destination that it asked for.
func (d *Diag) TCP(local, remote netip.AddrPort) (Socket, error) {
	req := request(unix.IPPROTO_TCP, local, remote)
	found, err := d.ask(req, unix.NLM_F_REQUEST, func(s sockInfo) bool {
		return s.local == unmap(local) && s.remote == unmap(remote)
	})
	if err != nil {
		return Socket{}, fmt.Errorf("looking for the socket %s to %s: %w", local, remote, err)
	}
	return found, nil
}

// UDP finds the socket that sent from local. A datagram's destination before
// redirection is not known, so the port decides; two sockets on one port
// (SO_REUSEPORT, or on different addresses) that both fit are no answer.
func (d *Diag) UDP(local netip.AddrPort) (Socket, error) {
	var only Socket
	var several bool
	for _, family := range families(local.Addr()) {
		req := request(unix.IPPROTO_UDP, netip.AddrPortFrom(anyOf(family), local.Port()), netip.AddrPort{})
		req[nlHeader] = family
		_, err := d.ask(req, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, func(s sockInfo) bool {
			a := s.local.Addr()
			if s.local.Port() != local.Port() || (!a.IsUnspecified() && a != local.Addr().Unmap()) {
				return false
			}
			several = several || (only.Inode != 0 && only.Inode != s.Inode)
			only = s.Socket
			return false
		})
		if err != nil && !errors.Is(err, ErrNoSocket) {
			return Socket{}, fmt.Errorf("looking for the UDP socket %s: %w", local, err)
		}
	}
	if only.Inode == 0 || several {
		return Socket{}, fmt.Errorf("looking for the UDP socket %s: %w", local, ErrNoSocket)
	}
	return only, nil
}

func families(a netip.Addr) []byte {
	if a.Unmap().Is4() {
		return []byte{unix.AF_INET, unix.AF_INET6} // an IPv6 socket sends IPv4 too
	}
	return []byte{unix.AF_INET6}
}

func anyOf(family byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// ask sends one request and returns the first socket that fits.
func (d *Diag) ask(req []byte, flags uint16, fits func(sockInfo) bool) (Socket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	binary.NativeEndian.PutUint16(req[6:], flags)
	binary.NativeEndian.PutUint32(req[8:], d.seq)
	if err := unix.Sendto(d.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return Socket{}, err
	}
	var found Socket
	for {
		n, _, err := unix.Recvfrom(d.fd, d.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return Socket{}, err
		}
		done, err := d.scan(d.buf[:n], flags&unix.NLM_F_DUMP != 0, func(s sockInfo) {
			if found.Inode == 0 && s.Inode != 0 && fits(s) {
				found = s.Socket
			}
		})
		if err != nil {
			return Socket{}, err
		}
		if done {
			break
		}
	}
	if found.Inode == 0 {
		return Socket{}, ErrNoSocket
	}
	return found, nil
}

// scan goes through one datagram of the kernel's answer, and reports whether it
// was the last.
func (d *Diag) scan(b []byte, dump bool, each func(sockInfo)) (done bool, err error) {
	for len(b) >= nlHeader {
		size := int(binary.NativeEndian.Uint32(b))
		if size < nlHeader || size > len(b) {
			return false, errors.New("the kernel's answer is malformed")
		}
		kind, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
		body := b[nlHeader:size]
		b = b[min(len(b), (size+3)&^3):]
		if seq != d.seq {
			continue // left over from an earlier question
		}
		switch kind {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, errors.New("the kernel's error is malformed")
			}
			errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
			if errno == unix.ENOENT {
				return true, nil
			}
			return false, errno
		default:
			if s, ok := parseInfo(body); ok {
				each(s)
			}
			if !dump {
				return true, nil
			}
		}
	}
	return false, nil
}
