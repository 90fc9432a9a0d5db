package supervisor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/sandbox"
)

func TestParseServer(t *testing.T) {
	for in, want := range map[string]string{
		"198.51.100.1": "198.51.100.1:53", "198.51.100.1:5353": "198.51.100.1:5353",
		"2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]:54": "[2001:db8::1]:54", "example.com": "", "": "",
	} {
		got, err := parseServer(in)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: %s %v, want %q", in, got, err, want)
		}
	}
}

func TestNothingIsDialledBeforeStart(t *testing.T) {
	d := newDialer(nil)
	if _, err := d.tcp(context.Background(), netip.MustParseAddrPort("127.0.0.1:1")); !errors.Is(err, errNotStarted) {
		t.Errorf("%v", err)
	}
	d.open(true)
	d.open(false) // a second container without a network does not move the first one out of its own
	if d.place() != fromContainer {
		t.Error("connections are made from the host although a container has a network")
	}
}

func TestServiceNamesStayHere(t *testing.T) {
	d := newDialer(nil)
	d.open(false)
	r := newResolver(sandbox.DNS{Servers: []string{"127.0.0.1:1"}}, d)
	if _, err := r.lookup(context.Background(), "db", true); err == nil {
		t.Error("a name of one label is asked of the host's servers")
	}
}

// TestConnect connects sockets as the broker gives them: unconnected and
// non-blocking.
func TestConnect(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().(*net.TCPAddr).AddrPort()
	open := func() *os.File {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), "socket")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f := open()
	defer f.Close()
	if err := connect(ctx, f, to); err != nil {
		t.Fatal(err)
	}
	c, err := net.FileConn(f)
	if err != nil || c.RemoteAddr().String() != to.String() {
		t.Fatalf("%v %v", c, err)
	}
	c.Close()
	l.Close()
	g := open()
	defer g.Close()
	if err := connect(ctx, g, to); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	// A connect that never ends is ended by its context: the backlog of a
	// listener that nobody serves is full after two.
	full, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(full)
	if err := errors.Join(unix.Bind(full, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(full, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(full)
	if err != nil {
		t.Fatal(err)
	}
	busy := netip.AddrPortFrom(to.Addr(), uint16(name.(*unix.SockaddrInet4).Port))
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	for range 4 {
		s := open()
		defer s.Close()
		err = connect(short, s, busy)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connect without an end: %v", err)
	}
}

func TestHardenRefusesRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := harden(nil); err == nil {
			t.Error("an empty filter is installed")
		}
		return
	}
	if err := harden(nil); !errors.Is(err, errPrivileged) {
		t.Errorf("%v", err)
	}
}
