package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Packet is one IP packet that came over the wire from the engine's side.
type Packet struct {
	Time     time.Time
	Proto    uint8 // IANA protocol number; for IPv6 the first next header
	Type     uint8 // of ICMP and ICMPv6
	Src, Dst netip.AddrPort
}

func (p Packet) String() string {
	name := map[uint8]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp",
		unix.IPPROTO_ICMPV6: "icmp6", unix.IPPROTO_SCTP: "sctp", unix.IPPROTO_IGMP: "igmp", 0: "hopopts"}[p.Proto]
	if name == "" {
		name = fmt.Sprint("proto ", p.Proto)
	}
	return fmt.Sprintf("%s %s > %s", name, p.Src, p.Dst)
}

// Capture records every IP packet that arrives on the internet's interface.
type Capture struct {
	file *os.File

	mu      sync.Mutex
	packets []Packet
}

// startCapture opens a packet socket in the namespace.
func startCapture(ns *os.File, dev string) (*Capture, error) {
	c := &Capture{}
	err := In(ns, func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(htons(unix.ETH_P_ALL)))
		if err != nil {
			return fmt.Errorf("opening the packet recorder: %w", err)
		}
		c.file = os.NewFile(uintptr(fd), "capture")
		return nil
	})
	if err != nil {
		return nil, err
	}
	go c.record()
	return c, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// record reads until the socket is closed. The socket is not bound to a device:
// lo of that namespace carries no packet of the engine's, and our own answers
// are PACKET_OUTGOING.
func (c *Capture) record() {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 256)
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), buf, 0)
			return rerr != unix.EAGAIN
		})
		if err != nil || rerr != nil && rerr != unix.ENETDOWN {
			return
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING || ll.Hatype == unix.ARPHRD_LOOPBACK {
			continue
		}
		if p, ok := parsePacket(buf[:n]); ok {
			c.mu.Lock()
			c.packets = append(c.packets, p)
			c.mu.Unlock()
		}
	}
}

// parsePacket reads addresses and ports; ok is false for what is not IP (ARP).
func parsePacket(b []byte) (p Packet, ok bool) {
	p.Time = time.Now()
	var src, dst netip.Addr
	var rest []byte
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		src, _ = netip.AddrFromSlice(b[12:16])
		dst, _ = netip.AddrFromSlice(b[16:20])
		p.Proto = b[9]
		if hl := int(b[0]&15) * 4; hl <= len(b) {
			rest = b[hl:]
		}
	case len(b) >= 40 && b[0]>>4 == 6:
		src, _ = netip.AddrFromSlice(b[8:24])
		dst, _ = netip.AddrFromSlice(b[24:40])
		p.Proto, rest = b[6], b[40:]
	default:
		return p, false
	}
	var sport, dport uint16
	if len(rest) >= 4 && (p.Proto == unix.IPPROTO_TCP || p.Proto == unix.IPPROTO_UDP || p.Proto == unix.IPPROTO_SCTP) {
		sport, dport = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
	}
	if len(rest) >= 1 && (p.Proto == unix.IPPROTO_ICMP || p.Proto == unix.IPPROTO_ICMPV6) {
		p.Type = rest[0]
	}
	p.Src, p.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return p, true
}

// chatter says whether a packet is what every machine sends: router and
// neighbour discovery (ICMPv6 133 to 137), multicast membership.
func (p Packet) chatter() bool {
	switch p.Proto {
	case unix.IPPROTO_ICMPV6:
		return p.Type >= 133 && p.Type <= 137 || p.Dst.Addr().IsMulticast()
	case unix.IPPROTO_IGMP, unix.IPPROTO_HOPOPTS:
		return p.Dst.Addr().IsMulticast()
	}
	return false
}

// Mark is a point in the record.
func (c *Capture) Mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.packets)
}

// Since returns what came after the mark, without the machines' own chatter.
func (c *Capture) Since(mark int) []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Packet
	for _, p := range c.packets[mark:] {
		if p.chatter() {
			continue
		}
		out = append(out, p)
	}
	return out
}

// Close stops the recorder.
func (c *Capture) Close() error { return c.file.Close() }
