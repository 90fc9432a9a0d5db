package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/sandbox"
)

const (
	// dialTimeout bounds one connect(2).
	dialTimeout = 10 * time.Second
	// ownLife is how long the list of this host's addresses is kept.
	ownLife = 5 * time.Second
)

// errNotStarted says that no container has been released yet.
var errNotStarted = errors.New("nothing is dialled before the container has started")

// place is where upstream connections are made from. The zero value is nowhere.
type place uint8

const (
	nowhere place = iota
	fromHost
	fromContainer
)

// dialer makes upstream connections. It decides nothing.
type dialer struct {
	link *sandbox.Link

	mu    sync.Mutex
	where place
	addrs []netip.Addr // of this host
	until time.Time
}

func newDialer(link *sandbox.Link) *dialer { return &dialer{link: link} }

// open says where connections are made from. Once a container with a network of
// its own is here, they stay in the container's namespace.
func (d *dialer) open(here bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if here {
		d.where = fromContainer
	} else if d.where == nowhere {
		d.where = fromHost
	}
}

func (d *dialer) place() place {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.where
}

// tcp connects to exactly this address.
func (d *dialer) tcp(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	c, err := d.dial(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	tc, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("dialling %s: got a %T", to, c)
	}
	return tc, nil
}

// dial connects from where the sandbox's connections are made from.
func (d *dialer) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	switch d.place() {
	case fromHost:
		return dialHost(ctx, network, to)
	case fromContainer:
		return d.dialMarked(ctx, network, to)
	}
	return nil, errNotStarted
}

func dialHost(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	return dialer.DialContext(ctx, network, to.String())
}

// dialMarked connects with a socket that the broker opened in the container's
// namespace, and that passes its fence.
func (d *dialer) dialMarked(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	kind := sandbox.Socket(network + "4")
	if !to.Addr().Unmap().Is4() {
		kind = sandbox.Socket(network + "6")
	}
	_, files, err := d.link.Call(&sandbox.Frame{Kind: sandbox.FrameSocket, Socket: kind})
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		closeAll(files)
		return nil, fmt.Errorf("asking for a socket: got %d", len(files))
	}
	defer files[0].Close()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := connect(ctx, files[0], to); err != nil {
		return nil, fmt.Errorf("dialling %s: %w", to, err)
	}
	return net.FileConn(files[0])
}

// connect connects a non-blocking socket, and waits.
func connect(ctx context.Context, f *os.File, to netip.AddrPort) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })()
	var result error
	if err := raw.Control(func(fd uintptr) { result = unix.Connect(int(fd), sockaddr(to)) }); err != nil {
		return err
	}
	if result != nil && !errors.Is(result, unix.EINPROGRESS) && !errors.Is(result, unix.EINTR) {
		return result
	}
	err = raw.Write(func(fd uintptr) bool {
		var done bool
		done, result = connected(int(fd))
		return done
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, result)
}

// connected reports whether connect(2) has come to an end, and to which.
func connected(fd int) (bool, error) {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return true, err
	}
	if code != 0 {
		return true, unix.Errno(code)
	}
	if _, err := unix.Getpeername(fd); errors.Is(err, unix.ENOTCONN) {
		return false, nil
	}
	return true, nil
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	a := to.Addr().Unmap()
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16()}
}

// own gives the addresses of this host's interfaces, as of a moment ago.
func (d *dialer) own() ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.until) {
		return d.addrs, nil
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this host's addresses: %w", err)
	}
	d.addrs = nil
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				d.addrs = append(d.addrs, addr.Unmap())
			}
		}
	}
	d.until = time.Now().Add(ownLife)
	return d.addrs, nil
}
