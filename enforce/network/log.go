package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/network/ingress"
)

// logGroup is the nfnetlink_log group of the namespace that the fence logs to.
const logGroup = 0x4e43

// openLog makes the socket on which connections from outside arrive. A kernel
// without nfnetlink_log gives none, and no error.
func openLog() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), string(SocketIngress))
	// struct nfulnl_msg_config_mode: how much is copied, big endian, and that it is.
	mode := append(binary.BigEndian.AppendUint32(nil, ingress.HeadSize), nfulnlCopyPacket, 0)
	err = configure(fd, attribute(nfulaCfgCmd, []byte{nfulnlCfgCmdBind}), attribute(nfulaCfgMode, mode), number(nfulaCfgQthresh, 1))
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	return nil, err
}

// linux/netfilter/nfnetlink_log.h
const (
	nfulnlMsgConfig  = 1
	nfulaCfgCmd      = 1
	nfulaCfgMode     = 2
	nfulaCfgQthresh  = 5
	nfulnlCfgCmdBind = 1
	nfulnlCopyPacket = 2
)

// configure sends one configuration message for our group and waits for the answer.
func configure(fd int, attributes ...[]byte) error {
	m := make([]byte, unix.NLMSG_HDRLEN, 64)
	binary.NativeEndian.PutUint16(m[4:], unix.NFNL_SUBSYS_ULOG<<8|nfulnlMsgConfig)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	m = append(m, unix.AF_UNSPEC, unix.NFNETLINK_V0)
	m = binary.BigEndian.AppendUint16(m, logGroup)
	for _, a := range attributes {
		m = append(m, a...)
	}
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	// The kernel has answered before sendto returns.
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	if n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(buf[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("configuring the log: an answer of another kind")
	}
	if code := int32(binary.NativeEndian.Uint32(buf[unix.NLMSG_HDRLEN:])); code != 0 {
		return fmt.Errorf("configuring the log: %w", unix.Errno(-code))
	}
	return nil
}
