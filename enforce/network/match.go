package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/network/ingress"
)

// reg is the register that every match below loads into (NFT_REG_1).
const reg = 1

// part is a piece of a rule, as nft(8) writes it and as the kernel takes it.
// Each function below gives one; a rule is some of them in a row, so that what
// is printed and what is enforced cannot drift apart unseen: the tests compare
// both with what nft lists.
type part struct {
	text  string
	exprs []expr.Any
}

// native is a 32-bit register as the kernel holds it.
func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data}
}

// hasBits matches when register & mask is not 0 (or is 0, with none).
func hasBits(mask uint32, none bool) []expr.Any {
	op := expr.CmpOpNeq
	if none {
		op = expr.CmpOpEq
	}
	return []expr.Any{
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4,
			Mask: native(mask), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: reg, Data: make([]byte, 4)},
	}
}

func mark(m uint32) part {
	return part{fmt.Sprintf("meta mark 0x%08x", m), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg},
		equal(native(m)),
	}}
}

func family(v6 bool) part {
	name, number := "ipv4", byte(unix.NFPROTO_IPV4)
	if v6 {
		name, number = "ipv6", unix.NFPROTO_IPV6
	}
	return part{"meta nfproto " + name, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg},
		equal([]byte{number}),
	}}
}

func protocol(name string, number byte) part {
	return part{"meta l4proto " + name, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg},
		equal([]byte{number}),
	}}
}

func anyTCP() part { return protocol("tcp", unix.IPPROTO_TCP) }
func icmpv4() part { return protocol("icmp", unix.IPPROTO_ICMP) }
func icmpv6() part { return protocol("ipv6-icmp", unix.IPPROTO_ICMPV6) }

// destinationPort matches one port of TCP or UDP.
func destinationPort(udp bool, port uint16) part {
	name, number := "tcp", byte(unix.IPPROTO_TCP)
	if udp {
		name, number = "udp", unix.IPPROTO_UDP
	}
	p := protocol(name, number)
	return part{fmt.Sprintf("%s dport %d", name, port), append(p.exprs,
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		equal(binary.BigEndian.AppendUint16(nil, port)))}
}

// inSet matches a TCP destination port that is in the table's set.
func inSet(set string) part {
	return part{"tcp dport @" + set, append(anyTCP().exprs,
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: reg, SetName: set})}
}

// destination matches one address, or a block whose length is whole bytes.
func destination(p netip.Prefix) part {
	name, offset := "ip", uint32(16)
	if p.Addr().Is6() {
		name, offset = "ip6", 24
	}
	text := p.String()
	if p.IsSingleIP() {
		text = p.Addr().String()
	}
	n := p.Bits() / 8
	return part{name + " daddr " + text, append(family(p.Addr().Is6()).exprs,
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(n)},
		equal(p.Addr().AsSlice()[:n]))}
}

// ownAddress matches a destination that the routing table calls local.
func ownAddress(v6 bool) part {
	f := family(v6)
	return part{f.text + " fib daddr type local", append(f.exprs,
		&expr.Fib{Register: reg, FlagDADDR: true, ResultADDRTYPE: true},
		equal(native(unix.RTN_LOCAL)))}
}

// loopback is the index of lo, the first interface of every namespace
// (LOOPBACK_IFINDEX in include/net/flow.h).
const loopback = 1

func outLoopback() part {
	return part{`oif "lo"`, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIF, Register: reg},
		equal(native(loopback)),
	}}
}

func inLoopback() part {
	return part{`iif "lo"`, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: reg},
		equal(native(loopback)),
	}}
}

func state(name string, bit uint32) part {
	return part{"ct state " + name, append([]expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg},
	}, hasBits(bit, false)...)}
}

func established() part { return state("established", expr.CtStateBitESTABLISHED) }
func related() part     { return state("related", expr.CtStateBitRELATED) }
func isNew() part       { return state("new", expr.CtStateBitNEW) }

// isReply matches packets against the direction in which the connection was made.
func isReply() part {
	return part{"ct direction reply", []expr.Any{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg},
		equal([]byte{1}), // IP_CT_DIR_REPLY
	}}
}

// opens matches the first segment of a TCP connection: SYN without ACK.
func opens() part {
	const syn, ack = 0x02, 0x10
	return part{"tcp flags syn / syn,ack", append(anyTCP().exprs,
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 1, Mask: []byte{syn | ack}, Xor: []byte{0}},
		equal([]byte{syn}))}
}

// notRedirected matches connections whose destination nobody has changed.
func notRedirected() part {
	const dstNAT = 1 << 5 // IPS_DST_NAT, linux/netfilter/nf_conntrack_common.h
	return part{"ct status ! dnat", append([]expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: reg},
	}, hasBits(dstNAT, true)...)}
}

// icmpType matches one type of ICMP (v4 or v6).
func icmpType(v6 bool, name string, number byte) part {
	proto, text := icmpv4(), "icmp"
	if v6 {
		proto, text = icmpv6(), "icmpv6"
	}
	return part{text + " type " + name, append(append(family(v6).exprs, proto.exprs...),
		&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		equal([]byte{number}))}
}

func accept() part {
	return part{"accept", []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}}
}

func drop() part {
	return part{"drop", []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}}
}

// leave goes back to the chain that jumped here.
func leave() part {
	return part{"return", []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}}}
}

func jump(chain string) part {
	return part{"jump " + chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}}
}

// logTo sends the head of the packet to a group of nfnetlink_log.
func logTo(group uint16) part {
	return part{fmt.Sprintf("log group %d snaplen %d", group, ingress.HeadSize), []expr.Any{&expr.Log{
		Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN, Group: group, Snaplen: ingress.HeadSize,
	}}}
}

// refuse ends in the chain that answers at once.
func refuse() part {
	return part{"goto " + chainRefused, []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chainRefused}}}
}

// redirect changes the destination to this host and the given port.
func redirect(port uint16) part {
	return part{fmt.Sprintf("redirect to :%d", port), []expr.Any{
		&expr.Immediate{Register: reg, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Redir{RegisterProtoMin: reg, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED},
	}}
}

// reset answers TCP with RST, at once.
func reset() part {
	return part{"reject with tcp reset", []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}}
}

// prohibited answers with ICMP's "administratively prohibited", at once.
func prohibited() part {
	return part{"reject with icmpx admin-prohibited", []expr.Any{
		&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED},
	}}
}
