package network

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// batch is one nf_tables transaction (nfnetlink batch) as bytes: the kernel
// takes all of it or nothing. It is written by hand because a create waits for
// it: a library that asks each rule back from the kernel takes four times as long.
type batch struct {
	buf   []byte
	start int      // of the message that was appended last
	acts  []string // what each message does, by its sequence number
	err   error
}

// answerLimit is how long the kernel may take, in seconds: it may wait for
// another transaction.
const answerLimit = 30

func newBatch() *batch {
	b := &batch{buf: make([]byte, 0, 16<<10)}
	b.message("beginning a transaction", unix.NFNL_MSG_BATCH_BEGIN, 0, unix.NFNL_SUBSYS_NFTABLES)
	return b
}

// message appends a netlink message with its nfgenmsg. kind is one of
// NFT_MSG_*, or NFNL_MSG_BATCH_*, which bear the subsystem in res.
func (b *batch) message(act string, kind, flags, res uint16, attributes ...[]byte) {
	kind |= (unix.NFNL_SUBSYS_NFTABLES << 8) &^ (res << 8)
	family := byte(unix.NFPROTO_INET)
	if res != 0 {
		family = unix.AF_UNSPEC
	}
	b.start = len(b.buf)
	b.buf = append(b.buf, 0, 0, 0, 0)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, kind)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, unix.NLM_F_REQUEST|flags)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, uint32(len(b.acts)))
	b.buf = append(b.buf, 0, 0, 0, 0) // port: the kernel knows
	b.buf = append(b.buf, family, unix.NFNETLINK_V0)
	b.buf = binary.BigEndian.AppendUint16(b.buf, res)
	for _, a := range attributes {
		b.buf = append(b.buf, a...)
	}
	binary.NativeEndian.PutUint32(b.buf[b.start:], uint32(len(b.buf)-b.start))
	b.acts = append(b.acts, act)
}

// attribute encodes one, padded. What is longer than its 16 bits of length is a
// mistake of ours and would be cut off in silence.
func attribute(kind uint16, data []byte) []byte {
	n := unix.SizeofNlAttr + len(data)
	if n > 1<<16-1 {
		panic(fmt.Sprintf("netlink attribute %d of %d bytes", kind, n))
	}
	a := make([]byte, 0, n+3)
	a = binary.NativeEndian.AppendUint16(a, uint16(n))
	a = binary.NativeEndian.AppendUint16(a, kind)
	a = append(a, data...)
	return append(a, make([]byte, -n&3)...)
}

func nested(kind uint16, attributes ...[]byte) []byte {
	return attribute(kind|unix.NLA_F_NESTED, slices.Concat(attributes...))
}

func text(kind uint16, s string) []byte { return attribute(kind, append([]byte(s), 0)) }

func number(kind uint16, n uint32) []byte {
	return attribute(kind, binary.BigEndian.AppendUint32(nil, n))
}

func (b *batch) newTable() {
	b.message("making the table", unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0,
		text(unix.NFTA_TABLE_NAME, TableName), number(unix.NFTA_TABLE_FLAGS, 0))
}

func (b *batch) deleteTable() {
	b.message("deleting the table", unix.NFT_MSG_DELTABLE, 0, 0, text(unix.NFTA_TABLE_NAME, TableName))
}

func (b *batch) newChain(c Chain) {
	attributes := [][]byte{text(unix.NFTA_CHAIN_TABLE, TableName), text(unix.NFTA_CHAIN_NAME, c.Name)}
	if c.Hook != "" {
		verdict := uint32(1) // NF_ACCEPT, linux/netfilter.h
		if c.Drop {
			verdict = 0 // NF_DROP
		}
		attributes = append(attributes,
			nested(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, hookNumber(c.Hook)), number(unix.NFTA_HOOK_PRIORITY, uint32(c.Priority))),
			number(unix.NFTA_CHAIN_POLICY, verdict), text(unix.NFTA_CHAIN_TYPE, c.Kind))
	}
	b.message(fmt.Sprintf("making the chain %s", c.Name), unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, 0, attributes...)
}

// hookNumber is the kernel's (enum nf_inet_hooks, linux/netfilter.h).
func hookNumber(hook string) uint32 {
	return uint32(slices.Index([]string{"prerouting", "input", "forward", "output", "postrouting"}, hook))
}

// rule appends a rule to its chain, or with first puts it at the chain's head.
func (b *batch) rule(chain string, r Rule, first bool) {
	var list []byte
	for _, e := range r.exprs {
		data, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			b.err = fmt.Errorf("encoding the rule %q: %w", r.Text, err)
			return
		}
		list = append(list, attribute(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, data)...)
	}
	flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_APPEND)
	if first {
		flags = unix.NLM_F_CREATE
	}
	b.message(fmt.Sprintf("adding the rule %q", r.Text), unix.NFT_MSG_NEWRULE, flags, 0,
		text(unix.NFTA_RULE_TABLE, TableName), text(unix.NFTA_RULE_CHAIN, chain),
		attribute(unix.NFTA_RULE_EXPRESSIONS|unix.NLA_F_NESTED, list), attribute(unix.NFTA_RULE_USERDATA, comment(r.Why)))
}

// comment is nft's own form of one: a type, a length and a string with its NUL.
func comment(s string) []byte { return append(append([]byte{0, byte(len(s) + 1)}, s...), 0) }

// maxElements is how many ports go into one message, so that their list fits
// into an attribute.
const maxElements = 1000

// ingress makes the set of ports.
func (b *batch) ingress(ports []uint16) {
	const inetService, id = 13, 1 // nft's number of the type; ours of the set
	b.message("making the set of ports", unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, 0,
		text(unix.NFTA_SET_TABLE, TableName), text(unix.NFTA_SET_NAME, setIngress), number(unix.NFTA_SET_FLAGS, 0),
		number(unix.NFTA_SET_KEY_TYPE, inetService), number(unix.NFTA_SET_KEY_LEN, 2), number(unix.NFTA_SET_ID, id))
	for chunk := range slices.Chunk(ports, maxElements) {
		var list []byte
		for _, p := range chunk {
			key := attribute(unix.NFTA_DATA_VALUE, binary.BigEndian.AppendUint16(nil, p))
			list = append(list, nested(unix.NFTA_LIST_ELEM, nested(unix.NFTA_SET_ELEM_KEY, key))...)
		}
		b.message("filling the set of ports", unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, 0,
			text(unix.NFTA_SET_ELEM_LIST_TABLE, TableName), text(unix.NFTA_SET_ELEM_LIST_SET, setIngress),
			number(unix.NFTA_SET_ELEM_LIST_SET_ID, id), attribute(unix.NFTA_SET_ELEM_LIST_ELEMENTS|unix.NLA_F_NESTED, list))
	}
}

// commit sends the transaction from the calling thread's network namespace and
// waits for the kernel's answer.
func (b *batch) commit() error {
	if b.err != nil {
		return b.err
	}
	// The kernel answers what fails, and beside that only the last message
	// asks for an answer.
	last := uint32(len(b.acts) - 1)
	flags := b.buf[b.start+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	b.message("ending the transaction", unix.NFNL_MSG_BATCH_END, 0, unix.NFNL_SUBSYS_NFTABLES)

	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := prepare(fd, len(b.buf)); err != nil {
		return err
	}
	if err := unix.Sendto(fd, b.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	return b.answer(fd, last)
}

// prepare lets a message of size bytes pass, and the wait for its answer end.
func prepare(fd, size int) error {
	if size > 128<<10 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 2*size); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("setsockopt",
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerLimit}))
}

// answer reads until the acknowledgement of the message last, or an error.
func (b *batch) answer(fd int, last uint32) error {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		for rest := buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.NLMSG_HDRLEN || size > len(rest) {
				return fmt.Errorf("the kernel's answer is cut off")
			}
			if done, err := b.result(rest[:size], last); done {
				return err
			}
			rest = rest[min(len(rest), (size+3)&^3):]
		}
	}
}

// result reads one message: whether it ends the wait, and how.
func (b *batch) result(m []byte, last uint32) (bool, error) {
	if binary.NativeEndian.Uint16(m[4:]) != unix.NLMSG_ERROR || len(m) < unix.NLMSG_HDRLEN+4 {
		return false, nil
	}
	seq := binary.NativeEndian.Uint32(m[8:])
	code := int32(binary.NativeEndian.Uint32(m[unix.NLMSG_HDRLEN:]))
	if code == 0 {
		return seq == last, nil
	}
	act := "committing"
	if int(seq) < len(b.acts) {
		act = b.acts[seq]
	}
	return true, fmt.Errorf("%s: %w", act, unix.Errno(-code))
}
