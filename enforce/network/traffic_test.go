package network_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/network"
	"github.com/nemoclaw/nemoclaw/enforce/network/ingress"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

func TestTCPIsRedirected(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		for _, to := range []string{far4 + ":80", far4 + ":8443", "[" + far6 + "]:443", "[" + far6 + "]:1",
			"28.192.0.9:443", "169.254.169.254:80", "10.0.0.1:22"} {
			got, err := l.dial(0, "tcp", to)
			if err != nil || got != "supervisor\n" {
				t.Errorf("%s: %q, %v", to, got, err)
				continue
			}
			a := l.next()
			if want := netip.MustParseAddrPort(to); a.original != want {
				t.Errorf("%s: arrived as %v on %s", to, a.original, a.kind)
			}
		}
		l.nothingLeft("TCP")
	})
}

func TestDNSIsRedirected(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		for _, to := range []string{"8.8.8.8:53", "[2001:4860:4860::8888]:53", "127.0.0.11:53", "127.0.0.53:53",
			"[::1]:53", "127.0.0.1:53", "192.168.1.1:53"} {
			got, err := l.dial(0, "udp", to)
			if err != nil || got != "question" {
				t.Errorf("UDP to %s: %q, %v", to, got, err)
			} else if a := l.next(); a.kind != network.SocketDNSUDP4 && a.kind != network.SocketDNSUDP6 {
				t.Errorf("UDP to %s: came to %s", to, a.kind)
			}
			got, err = l.dial(0, "tcp", to)
			if err != nil || got != "supervisor\n" {
				t.Errorf("TCP to %s: %q, %v", to, got, err)
			} else if a := l.next(); a.kind != network.SocketDNSTCP4 && a.kind != network.SocketDNSTCP6 {
				t.Errorf("TCP to %s: came to %s", to, a.kind)
			}
		}
		l.nothingLeft("DNS")
	})
}

func TestOwnServicesWork(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		hosts := []string{"127.0.0.1", "127.0.0.2", "::1"}
		if l.world != nil {
			hosts = append(hosts, own4, own6)
		}
		for _, h := range hosts {
			addr := net.JoinHostPort(h, "7000")
			lineServer(t, l.netns, addr, "mine")
			echoServer(t, l.netns, addr, "mine:")
			if got, err := l.dial(0, "tcp", addr); err != nil || got != "mine" {
				t.Errorf("TCP to %s: %q, %v", addr, got, err)
			}
			if got, err := l.dial(0, "udp", addr); err != nil || got != "mine:question" {
				t.Errorf("UDP to %s: %q, %v", addr, got, err)
			}
		}
		l.none()
		l.nothingLeft("own services")
	})
}

func TestTheRestIsRefusedAtOnce(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		for _, to := range []string{far4 + ":123", "[" + far6 + "]:443", "224.0.0.251:5353", gate4 + ":67", "255.255.255.255:68", "[ff02::1]:9"} {
			if l.world == nil && to[0] == '[' {
				continue // every IPv6 address is our own there: TestNothingAnswersAlone
			}
			began := time.Now()
			got, err := l.dial(0, "udp", to)
			quickly(t, "UDP to "+to+" "+got, began, err)
		}
		for name, raw := range map[string][2]int{
			"ICMP": {unix.SOCK_RAW, unix.IPPROTO_ICMP}, "SCTP": {unix.SOCK_RAW, 132}, "GRE": {unix.SOCK_RAW, unix.IPPROTO_GRE},
			"IPIP": {unix.SOCK_RAW, unix.IPPROTO_IPIP}, "UDP-Lite": {unix.SOCK_RAW, unix.IPPROTO_UDPLITE}, "TCP by hand": {unix.SOCK_RAW, unix.IPPROTO_TCP},
		} {
			began := time.Now()
			quickly(t, name, began, l.rawSend(raw[0], raw[1], far4))
		}
		l.none()
		l.nothingLeft("UDP and other protocols")
	})
}

// rawSend sends eight zero bytes by a raw socket; an agent has none, but a fence
// that depends on that would be half a fence.
func (l *lab) rawSend(typ, proto int, to string) error {
	return kerneltest.DoIn(l.netns, func() error {
		fd, err := unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, proto)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, make([]byte, 24), 0, &unix.SockaddrInet4{Addr: netip.MustParseAddr(to).As4()})
	})
}

// TestNothingAnswersAlone: with a local IPv6 route every address is our own, so
// nothing leaves; but nothing in the world may seem to answer either.
func TestNothingAnswersAlone(t *testing.T) {
	l := newLab(t, true)
	lineServer(t, l.netns, "[::]:7001", "mine")
	echoServer(t, l.netns, "[::]:7001", "mine:")
	began := time.Now()
	got, err := l.dial(0, "udp", "["+far6+"]:7001")
	quickly(t, "UDP "+got, began, err)
	if got, err := l.dial(0, "tcp", "["+far6+"]:7001"); err != nil || got != "supervisor\n" {
		t.Errorf("TCP: %q, %v", got, err)
	}
}

func TestMarkedSocketsPass(t *testing.T) {
	l := newLab(t, false)
	for _, h := range []string{far4, far6, gate4, gate6} {
		for _, port := range []string{"53", "443"} {
			addr := net.JoinHostPort(h, port)
			lineServer(t, l.world, addr, "world")
			echoServer(t, l.world, addr, "world:")
			if got, err := l.dial(testMark, "tcp", addr); err != nil || got != "world" {
				t.Errorf("TCP to %s: %q, %v", addr, got, err)
			}
			if got, err := l.dial(testMark, "udp", addr); err != nil || got != "world:question" {
				t.Errorf("UDP to %s: %q, %v", addr, got, err)
			}
			if got, err := l.dial(testMark+1, "tcp", addr); err != nil || got != "supervisor\n" {
				t.Errorf("another mark, TCP to %s: %q, %v", addr, got, err)
			}
		}
	}
	if got, err := l.dial(testMark, "tcp", far4+":444"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed port: %q, %v", got, err)
	}
}

// TestErrorsReachMarkedSockets: an ICMP error for a connection is let in.
func TestErrorsReachMarkedSockets(t *testing.T) {
	l := newLab(t, false)
	if got, err := l.dial(testMark, "udp", far4+":9999"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%q, %v; want ECONNREFUSED from the world's port-unreachable", got, err)
	}
	if got, err := l.dial(testMark, "udp", "["+far6+"]:9999"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%q, %v; want ECONNREFUSED from the world's port-unreachable", got, err)
	}
}

func TestIngress(t *testing.T) {
	l := newLab(t, false)
	for _, port := range []int{ingressPort, ingressPort + 1} {
		lineServer(t, l.netns, fmt.Sprintf(":%d", port), "agent")
		echoServer(t, l.netns, fmt.Sprintf(":%d", port), "agent:")
	}
	from := func(network, host string, port int) (got string, err error) {
		w := &lab{t: t, netns: l.world, limit: refusedQuickly}
		if network != "tcp" || port != ingressPort {
			w.limit = 300 * time.Millisecond // dropped: the wait is for nothing
		}
		return w.dial(0, network, net.JoinHostPort(host, fmt.Sprint(port)))
	}
	for _, h := range []string{own4, own6} {
		if got, err := from("tcp", h, ingressPort); err != nil || got != "agent" {
			t.Errorf("the ingress port at %s: %q, %v", h, got, err)
		}
		if got, err := from("tcp", h, ingressPort+1); err == nil {
			t.Errorf("another port at %s: %q", h, got)
		}
		if got, err := from("udp", h, ingressPort); err == nil {
			t.Errorf("UDP to the ingress port at %s: %q", h, got)
		}
		for _, p := range []uint16{l.listeners.Ports.TCP4, l.listeners.Ports.TCP6, l.listeners.Ports.DNSTCP4} {
			if got, err := from("tcp", h, int(p)); err == nil {
				t.Errorf("a listener at %s from outside: %q", h, got)
			}
		}
	}
	l.none()
	l.recorded()
}

// recorded checks that each connection to the ingress port was told of once,
// and nothing else.
func (l *lab) recorded() {
	l.t.Helper()
	buf := make([]byte, 64<<10)
	var got []string
	for _, s := range l.listeners.Sockets {
		if s.Kind != network.SocketIngress {
			continue
		}
		s.File.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		for {
			n, err := s.File.Read(buf)
			if err != nil {
				break
			}
			for _, c := range ingress.Parse(buf[:n]) {
				got = append(got, fmt.Sprintf("%s to %d", c.From.Addr(), c.To))
			}
		}
	}
	if want := []string{gate4 + " to 18789", gate6 + " to 18789"}; !slices.Equal(got, want) {
		l.t.Errorf("recorded %v, want %v", got, want)
	}
}

// TestDatagramOpensNoWayOut: one datagram from outside, and the agent answers
// to where it came from.
func TestDatagramOpensNoWayOut(t *testing.T) {
	l := newLab(t, false)
	for _, host := range [][2]string{{own4, gate4}, {own6, gate6}} {
		var agent, world net.PacketConn
		kerneltest.In(t, l.netns, func() (err error) {
			agent, err = net.ListenPacket("udp", net.JoinHostPort(host[0], "5000"))
			return err
		})
		defer agent.Close()
		kerneltest.In(t, l.world, func() (err error) {
			world, err = net.ListenPacket("udp", net.JoinHostPort(host[1], "6000"))
			return err
		})
		defer world.Close()
		for range 3 {
			if _, err := world.WriteTo([]byte("come out"), agent.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		_, err := agent.WriteTo([]byte("secret"), world.LocalAddr())
		quickly(t, "the answer to "+host[1], began, err)
	}
	l.nothingLeft("answers to datagrams from outside")
}

// TestTheMarkIsPerPacket: the agent takes the port that a marked socket has
// just left, and sends to where that one was allowed to.
func TestTheMarkIsPerPacket(t *testing.T) {
	l := newLab(t, false)
	for _, to := range []string{far4 + ":53", far4 + ":4433"} {
		echoServer(t, l.world, to, "world:")
		send := func(mark int) (got string, err error) {
			err = kerneltest.DoIn(l.netns, func() error {
				d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(own4), Port: 7777}, Control: control(mark)}
				c, err := d.Dial("udp", to)
				if err != nil {
					return err
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(refusedQuickly))
				if _, err := c.Write([]byte("secret")); err != nil {
					return err
				}
				buf := make([]byte, 64)
				n, err := c.Read(buf)
				got = string(buf[:n])
				return err
			})
			return got, err
		}
		if got, err := send(testMark); err != nil || got != "world:secret" {
			t.Fatalf("marked, to %s: %q, %v", to, got, err)
		}
		l.left()
		if got, err := send(0); err == nil {
			t.Errorf("unmarked on the same port, to %s: %q", to, got)
		}
		l.nothingLeft("unmarked on a marked socket's port")
	}
}

// TestListenersAreNotServices: a direct connection would have no destination.
func TestListenersAreNotServices(t *testing.T) {
	both(t, func(t *testing.T, l *lab) {
		p := l.listeners.Ports
		for _, to := range []struct {
			network, host string
			port          uint16
		}{
			{"tcp", "127.0.0.1", p.TCP4}, {"tcp", "::1", p.TCP6}, {"tcp", "127.0.0.1", p.DNSTCP4}, {"tcp", "::1", p.DNSTCP6},
			{"udp", "127.0.0.1", p.DNSUDP4}, {"udp", "::1", p.DNSUDP6},
		} {
			began := time.Now()
			got, err := l.dial(0, to.network, net.JoinHostPort(to.host, fmt.Sprint(to.port)))
			quickly(t, fmt.Sprintf("%+v %q", to, got), began, err)
		}
		l.none()
	})
}

// dockerRules are the engine's own for its resolver on user-defined networks
// (libnetwork, resolver_unix.go), at the given priority, added after ours.
const dockerRules = `
table ip docker {
	chain out { type nat hook output priority %d; policy accept;
		ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:45678
		ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:45679
	}
	chain post { type nat hook postrouting priority 100; policy accept;
		ip saddr 127.0.0.11 udp sport 45678 snat to :53
		ip saddr 127.0.0.11 tcp sport 45679 snat to :53
	}
}`

func TestEngineResolver(t *testing.T) {
	for _, priority := range []int{-100, -150, -199} {
		t.Run(fmt.Sprint(priority), func(t *testing.T) {
			l := newLab(t, false)
			echoServer(t, l.netns, "127.0.0.11:45678", "docker:")
			lineServer(t, l.netns, "127.0.0.11:45679", "docker")
			file := t.TempDir() + "/docker.nft"
			if err := os.WriteFile(file, fmt.Appendf(nil, dockerRules, priority), 0o644); err != nil {
				t.Fatal(err)
			}
			nft(t, l.netns, "-f", file)

			// The agent: to us where our rule is first, else nowhere.
			for _, network := range []string{"udp", "tcp"} {
				if got, err := l.dial(0, network, "127.0.0.11:53"); len(got) > 5 && got[:6] == "docker" {
					t.Errorf("the agent has asked the engine's resolver by %s: %q, %v", network, got, err)
				} else if priority > -110 && err != nil {
					t.Errorf("%s to 127.0.0.11:53: %v", network, err)
				}
			}
			for _, to := range []string{"udp 127.0.0.11:45678", "tcp 127.0.0.11:45679"} {
				began := time.Now()
				got, err := l.dial(0, to[:3], to[4:])
				quickly(t, to+" "+got, began, err)
			}
			// The broker's sockets.
			if got, err := l.dial(testMark, "udp", "127.0.0.11:53"); err != nil || got != "docker:question" {
				t.Errorf("marked, by udp: %q, %v", got, err)
			}
			if got, err := l.dial(testMark, "tcp", "127.0.0.11:53"); err != nil || got != "docker" {
				t.Errorf("marked, by tcp: %q, %v", got, err)
			}
			// And the agent again, now that there are connections.
			began := time.Now()
			got, err := l.dial(0, "udp", "127.0.0.11:45678")
			quickly(t, "udp to the high port "+got, began, err)
		})
	}
}

// TestRoutesOfTheEngineAreKept: with a default route there is nothing to add.
func TestRoutesOfTheEngineAreKept(t *testing.T) {
	l := newLab(t, false)
	cmdRoutes := func() string {
		r := kerneltest.MustRun(t, inNamespace(l.netns, "ip", "-4", "route", "show"))
		return r.Stdout
	}
	before := cmdRoutes()
	if _, err := network.AddLoopbackRoutes(l.netns); err != nil {
		t.Fatal(err)
	}
	if after := cmdRoutes(); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
}

// TestInternalNetwork: an interface, but no default route (docker network
// create --internal). Our own addresses have to be reachable all the same.
func TestInternalNetwork(t *testing.T) {
	l := newLab(t, false)
	kerneltest.MustRun(t, inNamespace(l.netns, "ip", "-4", "route", "del", "default"))
	if _, err := l.dial(0, "tcp", "28.192.0.9:443"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Fatalf("without a route: %v", err)
	}
	if _, err := network.AddLoopbackRoutes(l.netns); err != nil {
		t.Fatal(err)
	}
	if got, err := l.dial(0, "tcp", "28.192.0.9:443"); err != nil || got != "supervisor\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := l.dial(0, "tcp", gate4+":443"); err != nil || got != "supervisor\n" {
		t.Errorf("on the wire: %q, %v", got, err)
	}
	// The engine connects another network later.
	kerneltest.MustRun(t, inNamespace(l.netns, "ip", "-4", "route", "add", "default", "via", gate4))
	lineServer(t, l.world, far4+":443", "world")
	if got, err := l.dial(testMark, "tcp", far4+":443"); err != nil || got != "world" {
		t.Errorf("marked, by the later route: %q, %v", got, err)
	}
	l.left()
}

// TestSocketsBoundToADevice: SO_BINDTODEVICE needs no privilege, and such a
// socket sends by that device even what goes to 127.0.0.1. On the host's side
// that is the host's loopback where route_localnet is set (CVE-2020-8558).
func TestSocketsBoundToADevice(t *testing.T) {
	l := newLab(t, false)
	for _, to := range []string{"tcp " + far4 + ":80", "udp " + far4 + ":53", "tcp 127.0.0.1:22", "udp 127.0.0.1:53", "udp 127.0.0.1:99",
		"tcp [" + far6 + "]:80", "udp [" + far6 + "]:53", "tcp [::1]:22", "udp [::1]:99", "udp 127.0.0.11:53", "tcp " + own4 + ":99"} {
		err := kerneltest.DoIn(l.netns, func() error {
			d := net.Dialer{Timeout: time.Second / 4, Control: func(_, _ string, c syscall.RawConn) (err error) {
				c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "eth0") })
				return err
			}}
			c, err := d.Dial(to[:3], to[4:])
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write([]byte("secret"))
			return err
		})
		if s := l.left(); len(s) > 0 {
			t.Errorf("%s (%v): left the container: %v", to, err, s)
		}
	}
}
