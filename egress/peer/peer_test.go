package peer

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func newDiag(t *testing.T) *Diag {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(os.NewFile(uintptr(fd), "diag"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func inodeOf(t *testing.T, c syscall.Conn) uint64 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestTCP(t *testing.T) {
	d := newDiag(t)
	for _, tt := range []struct{ network, listen, dial string }{
		{"tcp4", "127.0.0.1:0", ""},
		{"tcp6", "[::1]:0", ""},
		{"tcp", "[::]:0", "[::ffff:127.0.0.1]"}, // an IPv6 socket that speaks IPv4
	} {
		l, err := net.Listen(tt.network, tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c := dialTo(t, l, tt.dial)
		local := c.LocalAddr().(*net.TCPAddr).AddrPort()
		remote := c.RemoteAddr().(*net.TCPAddr).AddrPort()
		got, err := d.TCP(local, remote)
		if err != nil {
			t.Fatalf("%s: %v", tt.listen, err)
		}
		if want := inodeOf(t, c); got.Inode != want || got.UID != uint32(os.Getuid()) {
			t.Errorf("%s: %+v, want inode %d uid %d", tt.listen, got, want, os.Getuid())
		}
		// The wrong way round is the other end, and a third port is nobody.
		if other, err := d.TCP(remote, local); err == nil && other.Inode == got.Inode {
			t.Error("both ends have one inode")
		}
		if s, err := d.TCP(local, netip.AddrPortFrom(remote.Addr(), 1)); err == nil {
			t.Errorf("a socket that is not there: %+v", s)
		}
		c.Close()
	}
}

// dialTo connects to a listener; with v6 the connecting socket is of AF_INET6
// with a mapped address.
func dialTo(t *testing.T, l net.Listener, mapped string) *net.TCPConn {
	t.Helper()
	addr := l.Addr().(*net.TCPAddr)
	if mapped == "" {
		c, err := net.DialTCP("tcp", nil, addr)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrInet6{Port: addr.Port, Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "mapped")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func TestUDP(t *testing.T) {
	d := newDiag(t)
	for _, tt := range []struct{ network, addr, remote string }{
		{"udp4", "127.0.0.1:0", ""},
		{"udp4", "0.0.0.0:0", ""},
		{"udp", "[::]:0", ""},
		{"udp4", "127.0.0.1:0", "127.0.0.1:53"}, // connected, as resolvers do
	} {
		la, _ := net.ResolveUDPAddr(tt.network, tt.addr)
		var c *net.UDPConn
		var err error
		if tt.remote == "" {
			c, err = net.ListenUDP(tt.network, la)
		} else {
			ra, _ := net.ResolveUDPAddr(tt.network, tt.remote)
			c, err = net.DialUDP(tt.network, la, ra)
		}
		if err != nil {
			t.Fatal(err)
		}
		port := uint16(c.LocalAddr().(*net.UDPAddr).Port)
		got, err := d.UDP(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
		if err != nil {
			t.Fatalf("%s: %v", tt.addr, err)
		}
		if want := inodeOf(t, c); got.Inode != want {
			t.Errorf("%s: %+v, want inode %d", tt.addr, got, want)
		}
		c.Close()
		if s, err := d.UDP(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)); err == nil {
			t.Errorf("a closed socket is found: %+v", s)
		}
	}
}

func TestParseInfoShort(t *testing.T) {
	for n := range infoSize {
		if _, ok := parseInfo(make([]byte, n)); ok {
			t.Errorf("%d bytes are taken for a socket", n)
		}
	}
}
