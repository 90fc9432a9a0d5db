package network_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/network"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

const (
	testMark = 0x4e43
	// The container's own addresses, those of the world's end of the wire, and
	// those behind it.
	own4, own6     = "172.30.0.2", "fd00:30::2"
	gate4, gate6   = "172.30.0.1", "fd00:30::1"
	far4, far6     = "198.51.100.7", "2001:db8::7"
	ingressPort    = 18789
	refusedQuickly = 5 * time.Second // the machine may be busy; a hang is longer
)

// lab is a container's namespace behind its fence and, unless it is alone, a
// world at the other end of a wire.
type lab struct {
	t         *testing.T
	netns     *os.File
	world     *os.File // nil: no interface but lo
	listeners *network.Listeners
	accepted  chan accepted // what came to the listeners
	limit     time.Duration // how long dial waits

	mu   sync.Mutex
	seen []string // packets from the container on the wire
}

type accepted struct {
	kind     network.SocketKind
	original netip.AddrPort
}

// newLab makes the fence as the runtime does: fence first, routes at start.
func newLab(t *testing.T, alone bool) *lab {
	t.Helper()
	l := &lab{t: t, netns: kerneltest.Netns(t), accepted: make(chan accepted, 64), limit: refusedQuickly}
	if err := network.LoopbackUp(l.netns); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.listeners, err = network.Listen(l.netns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.listeners.Close() })
	f := network.Fence{Ports: l.listeners.Ports, Mark: testMark, IngressTCP: []uint16{ingressPort}}
	if err := network.Apply(l.netns, f); err != nil {
		t.Fatal(err)
	}
	if !alone {
		l.wire()
	}
	got, err := network.AddLoopbackRoutes(l.netns)
	if err != nil || got != alone {
		t.Fatalf("AddLoopbackRoutes: %v, %v; want %v", got, err, alone)
	}
	l.serve()
	return l
}

// wire gives the container an interface as an engine does, and the world the
// addresses behind it.
func (l *lab) wire() {
	l.t.Helper()
	l.world = kerneltest.Netns(l.t)
	if err := network.LoopbackUp(l.world); err != nil {
		l.t.Fatal(err)
	}
	kerneltest.In(l.t, l.netns, func() error {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer0",
			PeerNamespace: netlink.NsFd(int(l.world.Fd()))}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		return setUp("eth0", own4+"/24", own6+"/64")
	})
	kerneltest.In(l.t, l.world, func() error {
		return errors.Join(setUp("peer0", gate4+"/24", gate6+"/64"), setUp("lo", far4+"/32", far6+"/128"))
	})
	kerneltest.In(l.t, l.netns, func() error { return defaultRoutes(gate4, gate6) })
	l.capture()
}

func setUp(name string, addrs ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD // usable at once
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("%s on %s: %w", a, name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, a := range addrs {
		if err := waitLocal(netip.MustParsePrefix(a).Addr()); err != nil {
			return err
		}
	}
	return nil
}

// waitLocal waits for the route that makes an address the namespace's own: for
// IPv6 a kernel thread adds it, some time after the address is there.
func waitLocal(a netip.Addr) error {
	for range 500 {
		routes, err := netlink.RouteGet(net.IP(a.AsSlice()))
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%s has not become a local address", a)
}

func defaultRoutes(gateways ...string) error {
	for _, g := range gateways {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(g)}); err != nil {
			return fmt.Errorf("route by %s: %w", g, err)
		}
	}
	return nil
}

// serve answers on the listeners as a supervisor would: TCP gets one line, DNS
// gets back what it sent.
func (l *lab) serve() {
	for _, s := range l.listeners.Sockets {
		switch s.Kind {
		case network.SocketDiag, network.SocketIngress:
		case network.SocketDNSUDP4, network.SocketDNSUDP6:
			pc, err := net.FilePacketConn(s.File)
			if err != nil {
				l.t.Fatal(err)
			}
			l.t.Cleanup(func() { pc.Close() })
			go l.echo(s.Kind, pc)
		default:
			ln, err := net.FileListener(s.File)
			if err != nil {
				l.t.Fatal(err)
			}
			l.t.Cleanup(func() { ln.Close() })
			go l.accept(s.Kind, ln)
		}
	}
}

func (l *lab) echo(kind network.SocketKind, pc net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		l.accepted <- accepted{kind: kind}
		pc.WriteTo(buf[:n], from)
	}
}

func (l *lab) accept(kind network.SocketKind, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		original, err := originalDestination(c.(*net.TCPConn))
		if err != nil {
			l.t.Errorf("%s: the original destination: %v", kind, err)
		}
		l.accepted <- accepted{kind, original}
		io.WriteString(c, "supervisor\n")
		c.Close()
	}
}

// originalDestination asks as the supervisor does: SO_ORIGINAL_DST and
// IP6T_SO_ORIGINAL_DST are both 80.
func originalDestination(c *net.TCPConn) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	v6 := c.LocalAddr().(*net.TCPAddr).IP.To4() == nil
	var to netip.AddrPort
	var opErr error
	err = raw.Control(func(fd uintptr) {
		if v6 {
			var info *unix.IPv6MTUInfo
			if info, opErr = unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, 80); opErr == nil {
				to = netip.AddrPortFrom(netip.AddrFrom16(info.Addr.Addr), swap(info.Addr.Port))
			}
			return
		}
		var mreq *unix.IPv6Mreq
		if mreq, opErr = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, 80); opErr == nil {
			b := mreq.Multiaddr
			to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4]))
		}
	})
	return to, errors.Join(err, opErr)
}

func swap(p uint16) uint16 { return p>>8 | p<<8 }

// capture notes every IP packet that the container puts on the wire, but for
// what IPv6 needs to find its neighbours.
func (l *lab) capture() {
	var fd int
	kerneltest.In(l.t, l.world, func() error {
		var err error
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(swap(unix.ETH_P_ALL)))
		return err
	})
	f := os.NewFile(uintptr(fd), "capture")
	l.t.Cleanup(func() { f.Close() })
	raw, err := f.SyscallConn()
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			var n int
			var from unix.Sockaddr
			if err := raw.Read(func(fd uintptr) bool {
				n, from, err = unix.Recvfrom(int(fd), buf, 0)
				return err != unix.EAGAIN
			}); err != nil || n < 1 {
				return
			}
			if ll := from.(*unix.SockaddrLinklayer); ll.Pkttype != unix.PACKET_OUTGOING {
				l.note(swap(ll.Protocol), buf[:n])
			}
		}
	}()
}

func (l *lab) note(kind uint16, p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case kind == unix.ETH_P_ARP && len(p) >= 28:
		// The gateway is asked for by the broker's sockets too.
		if dst, _ := netip.AddrFromSlice(p[24:28]); dst.String() != gate4 {
			l.seen = append(l.seen, fmt.Sprintf("ARP for %s", dst))
		}
	case p[0]>>4 == 4 && len(p) >= 20:
		dst, _ := netip.AddrFromSlice(p[16:20])
		l.seen = append(l.seen, fmt.Sprintf("%s proto %d", dst, p[9]))
	case p[0]>>4 == 6 && len(p) > 40:
		dst, _ := netip.AddrFromSlice(p[24:40])
		if p[6] == unix.IPPROTO_ICMPV6 && p[40] >= 133 && p[40] <= 136 {
			return
		}
		l.seen = append(l.seen, fmt.Sprintf("%s proto %d", dst, p[6]))
	}
}

// left returns what left the container since the last call, after a moment.
func (l *lab) left() []string {
	time.Sleep(150 * time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen
	l.seen = nil
	return s
}

// nothingLeft fails the test when anything went out since the last look.
func (l *lab) nothingLeft(what string) {
	l.t.Helper()
	if l.world == nil {
		return
	}
	if s := l.left(); len(s) > 0 {
		l.t.Errorf("%s: left the container: %v", what, s)
	}
}

// control sets the mark on sockets of dialers, where mark is not 0.
func control(mark int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if mark != 0 {
			c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) })
		}
		return err
	}
}

// dial connects from inside the container and returns the first bytes that come.
func (l *lab) dial(mark int, network, addr string) (string, error) {
	var got string
	err := kerneltest.DoIn(l.netns, func() error {
		d := net.Dialer{Timeout: l.limit, Control: control(mark)}
		c, err := d.Dial(network, addr)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(l.limit))
		if network[0] == 'u' {
			if _, err := io.WriteString(c, "question"); err != nil {
				return err
			}
		}
		buf := make([]byte, 64)
		n, err := c.Read(buf)
		got = string(buf[:n])
		return err
	})
	return got, err
}

// next returns what came to a listener, or fails the test.
func (l *lab) next() accepted {
	l.t.Helper()
	select {
	case a := <-l.accepted:
		return a
	case <-time.After(refusedQuickly):
		l.t.Errorf("nothing came to a listener")
		return accepted{}
	}
}

// none fails the test when something came to a listener.
func (l *lab) none() {
	l.t.Helper()
	select {
	case a := <-l.accepted:
		l.t.Errorf("came to a listener: %+v", a)
	default:
	}
}

// quickly fails the test unless err is a refusal that came at once.
func quickly(t *testing.T, what string, began time.Time, err error) {
	t.Helper()
	var timeout net.Error
	if err == nil {
		t.Errorf("%s: went through", what)
	} else if errors.As(err, &timeout) && timeout.Timeout() || time.Since(began) > refusedQuickly/2 {
		t.Errorf("%s: refused after %v only: %v", what, time.Since(began), err)
	}
}

// lineServer answers every TCP connection in a namespace with a line.
func lineServer(t *testing.T, netns *os.File, addr, line string) {
	t.Helper()
	var ln net.Listener
	kerneltest.In(t, netns, func() (err error) {
		ln, err = net.Listen("tcp", addr)
		return err
	})
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, line)
			c.Close()
		}
	}()
}

// echoServer sends every datagram back with a word in front.
func echoServer(t *testing.T, netns *os.File, addr, word string) {
	t.Helper()
	var pc net.PacketConn
	kerneltest.In(t, netns, func() (err error) {
		pc, err = net.ListenPacket("udp", addr)
		return err
	})
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(append([]byte(word), buf[:n]...), from)
		}
	}()
}

func both(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Helper()
	for name, alone := range map[string]bool{"with an interface": false, "with lo only": true} {
		t.Run(name, func(t *testing.T) { f(t, newLab(t, alone)) })
	}
}
