package runtime

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// maxFileName bounds the name that comes with a passed descriptor, in bytes.
const maxFileName = 4096

// recvFile takes one descriptor from a Unix socket, close-on-exec. The bytes
// beside it become the file's name. More than one descriptor is an error, and
// all are closed: whoever sends them is on the container's side.
func recvFile(socket *os.File) (*os.File, error) {
	name := make([]byte, maxFileName)
	oob := make([]byte, unix.CmsgSpace(4*8))
	n, oobn, err := recvmsg(int(socket.Fd()), name, oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	fds, err := rights(oob[:oobn])
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 || n >= maxFileName {
		closeAll(fds)
		return nil, fmt.Errorf("receiving a terminal: %d descriptors and a name of %d bytes, wanted one and a short one", len(fds), n)
	}
	return os.NewFile(uintptr(fds[0]), string(name[:n])), nil
}

// sendFile sends text and one descriptor as a datagram on a connected socket.
// (net.UnixConn.WriteMsgUnix refuses connected datagram sockets.)
func sendFile(conn *net.UnixConn, text string, f *os.File) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(f.Fd()))
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = unix.Sendmsg(int(fd), []byte(text), rights, nil, 0)
		return !errors.Is(sendErr, unix.EAGAIN) && !errors.Is(sendErr, unix.EINTR)
	})
	return errors.Join(err, os.NewSyscallError("sendmsg", sendErr))
}

func recvmsg(fd int, p, oob []byte) (n, oobn int, err error) {
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, p, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			return n, oobn, err
		}
	}
}

// rights gives every descriptor in the control messages; on an error those that
// the kernel has installed already are closed.
func rights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range messages {
		if messages[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, fds...)
	}
	return all, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
