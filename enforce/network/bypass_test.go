package network_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

// The tests in this file try to get out.

// TestForgedSYN: somebody outside, who works with the agent, sends a SYN to an
// ingress port in the name of a server. To conntrack the agent's own SYN, from
// that port to that server, is then an answer.
func TestForgedSYN(t *testing.T) {
	l := newLab(t, false)
	const server = 443
	lineServer(t, l.world, far4+":443", "world")
	listener := l.rawListener(ingressPort)
	kerneltest.In(t, l.world, func() error { return sendSYN(far4, server, own4, ingressPort) })
	time.Sleep(50 * time.Millisecond)
	unix.Close(listener)
	l.left()

	var got string
	err := kerneltest.DoIn(l.netns, func() error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(own4), Port: ingressPort}, Timeout: time.Second}
		c, err := d.Dial("tcp", far4+":443")
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		b, err := io.ReadAll(c)
		got = string(b)
		return err
	})
	if got == "world" {
		t.Errorf("connected to the server: %q, %v", got, err)
	}
	l.nothingLeft("a connection from an ingress port")
}

// rawListener listens in the container and answers nothing: a socket filter,
// which needs no privilege, drops every SYN. Conntrack goes on waiting for the
// answer.
func (l *lab) rawListener(port int) int {
	var fd int
	kerneltest.In(l.t, l.netns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.Bind(fd, &unix.SockaddrInet4{Port: port}),
			unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1,
				Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}}),
			unix.Listen(fd, 8))
	})
	return fd
}

// sendSYN sends one segment by hand.
func sendSYN(from string, sport uint16, to string, dport uint16) error {
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, sport)
	binary.BigEndian.PutUint16(tcp[2:], dport)
	binary.BigEndian.PutUint32(tcp[4:], 12345)
	tcp[12], tcp[13] = 5<<4, 0x02
	binary.BigEndian.PutUint16(tcp[14:], 65535)
	pseudo := append(append(append([]byte{}, src[:]...), dst[:]...), 0, unix.IPPROTO_TCP, 0, 20)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo, tcp...)))
	ip := []byte{0x45, 0, 0, 40, 0, 1, 0, 0, 64, unix.IPPROTO_TCP, 0, 0}
	ip = append(append(ip, src[:]...), dst[:]...)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, append(ip, tcp...), 0, &unix.SockaddrInet4{Addr: dst})
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// TestGroupsAreNotMessages: joining a multicast group makes the kernel tell the
// network; which groups one joins is a message.
func TestGroupsAreNotMessages(t *testing.T) {
	l := newLab(t, false)
	kerneltest.In(t, l.netns, func() error {
		fd4, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd4)
		fd6, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd6)
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		group6 := netip.MustParseAddr("ff02::5ec:4e7").As16()
		return errors.Join(
			unix.SetsockoptIPMreqn(fd4, unix.SOL_IP, unix.IP_ADD_MEMBERSHIP,
				&unix.IPMreqn{Multiaddr: [4]byte{239, 1, 2, 3}, Ifindex: int32(eth0.Index)}),
			unix.SetsockoptIPv6Mreq(fd6, unix.SOL_IPV6, unix.IPV6_ADD_MEMBERSHIP,
				&unix.IPv6Mreq{Multiaddr: group6, Interface: uint32(eth0.Index)}))
	})
	time.Sleep(time.Second) // reports are delayed
	l.nothingLeft("joining groups")
}

// TestNeighboursAreNotAsked: what is refused is refused before the kernel asks
// the wire who has the address.
func TestNeighboursAreNotAsked(t *testing.T) {
	l := newLab(t, false)
	for i := range 4 {
		to := net.JoinHostPort(fmt.Sprintf("172.30.0.%d", 70+i), "99")
		l.dial(0, "udp", to)
		l.dial(0, "tcp", to)
		l.rawSend(unix.SOCK_RAW, unix.IPPROTO_ICMP, fmt.Sprintf("172.30.0.%d", 70+i))
	}
	l.nothingLeft("neighbours")
}

// TestSourceRoutes: the address in the packet is not where it ends.
func TestSourceRoutes(t *testing.T) {
	l := newLab(t, false)
	// Loose source route by 127.0.0.1 and by our own address to far4 (RFC 791).
	far := netip.MustParseAddr(far4).As4()
	for _, first := range []string{"127.0.0.1", own4, gate4} {
		options := append([]byte{131, 7, 4}, far[:]...)
		kerneltest.In(t, l.netns, func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.SetsockoptString(fd, unix.SOL_IP, unix.IP_OPTIONS, string(append(options, 0))); err != nil {
				return err
			}
			unix.Sendto(fd, []byte("secret"), 0, &unix.SockaddrInet4{Port: 99, Addr: netip.MustParseAddr(first).As4()})
			return nil
		})
	}
	// Segment routing by ::1 and by our own address to far6 (RFC 8754).
	far16 := netip.MustParseAddr(far6).As16()
	for _, first := range []string{"::1", own6, gate6} {
		seg := netip.MustParseAddr(first).As16()
		header := append([]byte{0, 4, 4, 1, 1, 0, 0, 0}, append(far16[:], seg[:]...)...)
		kerneltest.In(t, l.netns, func() error {
			fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.SetsockoptString(fd, unix.SOL_IPV6, unix.IPV6_RTHDR, string(header)); err != nil {
				return nil // a kernel without segment routing
			}
			unix.Sendto(fd, []byte("secret"), 0, &unix.SockaddrInet6{Port: 99, Addr: far16})
			return nil
		})
	}
	l.nothingLeft("source routes")
}

// TestMarkNeedsPrivilege: root in the container, without capabilities, and an
// ordinary user set no mark, by socket option or by control message.
func TestMarkNeedsPrivilege(t *testing.T) {
	l := newLab(t, false)
	for _, uid := range []int{0, 1000} {
		cmd := kerneltest.Child(t, "mark", fmt.Sprint(uid))
		cmd.ExtraFiles = []*os.File{l.netns}
		if r := kerneltest.Run(t, cmd); r.Status != 0 {
			t.Errorf("uid %d: %s%s", uid, r.Stdout, r.Stderr)
		}
	}
	l.nothingLeft("sockets with a mark of the agent's own")
}

// setMark enters the namespace, drops every capability, and tries.
func setMark(args []string) error {
	if err := unix.Setns(3, unix.CLONE_NEWNET); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if args[0] != "0" {
		if err := errors.Join(unix.Setgroups(nil), unix.Setresgid(1000, 1000, 1000), unix.Setresuid(1000, 1000, 1000)); err != nil {
			return err
		}
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, testMark); !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("SO_MARK: %v", err)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	binary.NativeEndian.PutUint64(oob, uint64(unix.CmsgLen(4)))
	binary.NativeEndian.PutUint32(oob[8:], unix.SOL_SOCKET)
	binary.NativeEndian.PutUint32(oob[12:], unix.SO_MARK)
	binary.NativeEndian.PutUint32(oob[16:], testMark)
	err = unix.Sendmsg(fd, []byte("secret"), oob, &unix.SockaddrInet4{Port: 99, Addr: netip.MustParseAddr(far4).As4()}, 0)
	if !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("SO_MARK as a control message: %v", err)
	}
	for name, option := range map[string]int{"IP_TRANSPARENT": unix.IP_TRANSPARENT} {
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, option, 1); !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("%s: %v", name, err)
		}
	}
	return nil
}
