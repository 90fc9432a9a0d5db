package peer

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Layouts of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
const (
	nlHeader          = 16 // struct nlmsghdr
	reqSize           = 56 // struct inet_diag_req_v2
	infoSize          = 72 // struct inet_diag_msg
	sockDiagByFamily  = 20 // SOCK_DIAG_BY_FAMILY
	idOffset          = 8  // struct inet_diag_sockid in the request
	infoID            = 4  // and in the answer
	noCookie          = ^uint32(0)
	allStates         = ^uint32(0)
	infoUID, infoNode = 64, 68
)

// sockInfo is one socket in the kernel's answer. Addresses are unmapped.
type sockInfo struct {
	Socket
	local, remote netip.AddrPort
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// request makes a message whose flags and sequence number are still to be set.
func request(proto byte, local, remote netip.AddrPort) []byte {
	b := make([]byte, nlHeader+reqSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	r := b[nlHeader:]
	r[0] = unix.AF_INET
	if !local.Addr().Unmap().Is4() {
		r[0] = unix.AF_INET6
	}
	r[1] = proto
	binary.NativeEndian.PutUint32(r[4:], allStates)
	id := r[idOffset:]
	binary.BigEndian.PutUint16(id, local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().Unmap().AsSlice())
	if remote.IsValid() {
		copy(id[20:36], remote.Addr().Unmap().AsSlice())
	}
	binary.NativeEndian.PutUint32(id[40:], noCookie)
	binary.NativeEndian.PutUint32(id[44:], noCookie)
	return b
}

// parseInfo reads struct inet_diag_msg.
func parseInfo(b []byte) (sockInfo, bool) {
	if len(b) < infoSize {
		return sockInfo{}, false
	}
	id := b[infoID:]
	s := sockInfo{
		Socket: Socket{
			UID:   binary.NativeEndian.Uint32(b[infoUID:]),
			Inode: uint64(binary.NativeEndian.Uint32(b[infoNode:])),
		},
		local:  netip.AddrPortFrom(address(b[0], id[4:20]), binary.BigEndian.Uint16(id)),
		remote: netip.AddrPortFrom(address(b[0], id[20:36]), binary.BigEndian.Uint16(id[2:])),
	}
	return s, true
}

func address(family byte, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16([16]byte(b)).Unmap()
}
