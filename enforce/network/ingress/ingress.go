// Package ingress reads what the fence logs: connections from outside to the
// agent's own ports. The kernel sends the head of each first segment on an
// nfnetlink_log socket, which package network opens inside the namespace and
// which an unprivileged process may read.
package ingress

import (
	"encoding/binary"
	"net/netip"
)

const (
	// HeadSize is how much of a segment is logged, in bytes: the longest IPv4
	// header and the ports, or an IPv6 header with room for extensions.
	HeadSize = 96
	// maxReported bounds the connections of one message.
	maxReported = 64

	nlmsgHeader = 16
	nfgenmsg    = 4
	nlaHeader   = 4
	packetType  = 4 << 8 // NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET
	payload     = 9      // NFULA_PAYLOAD
	protoTCP    = 6
)

// Connection is one that was let in.
type Connection struct {
	From netip.AddrPort // who connected, as the container sees it
	To   uint16         // the agent's port
}

// Parse takes the connections out of what one read from the socket gave. What
// it does not understand it passes over: the bytes come from the kernel, but the
// segment in them from anybody.
func Parse(b []byte) []Connection {
	var all []Connection
	for len(b) >= nlmsgHeader && len(all) < maxReported {
		size := int(binary.NativeEndian.Uint32(b))
		if size < nlmsgHeader || size > len(b) {
			break
		}
		if binary.NativeEndian.Uint16(b[4:]) == packetType && size >= nlmsgHeader+nfgenmsg {
			if c, ok := segment(attribute(b[nlmsgHeader+nfgenmsg:size], payload)); ok {
				all = append(all, c)
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return all
}

// attribute returns the content of the first attribute of a kind, or nil.
func attribute(b []byte, kind uint16) []byte {
	for len(b) >= nlaHeader {
		size := int(binary.NativeEndian.Uint16(b))
		if size < nlaHeader || size > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:])&0x3fff == kind {
			return b[nlaHeader:size]
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return nil
}

// segment reads addresses and ports from the head of an IP packet with TCP.
func segment(p []byte) (Connection, bool) {
	if len(p) < 20 {
		return Connection{}, false
	}
	switch p[0] >> 4 {
	case 4:
		head := int(p[0]&0xf) * 4
		if head < 20 || p[9] != protoTCP {
			return Connection{}, false
		}
		return ports(netip.AddrFrom4([4]byte(p[12:16])), p, head)
	case 6:
		if len(p) < 40 || p[6] != protoTCP {
			return Connection{}, false
		}
		return ports(netip.AddrFrom16([16]byte(p[8:24])), p, 40)
	}
	return Connection{}, false
}

func ports(from netip.Addr, p []byte, head int) (Connection, bool) {
	if len(p) < head+4 {
		return Connection{}, false
	}
	return Connection{
		From: netip.AddrPortFrom(from, binary.BigEndian.Uint16(p[head:])),
		To:   binary.BigEndian.Uint16(p[head+2:]),
	}, true
}
