package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// MaxMessage bounds one message's JSON, in bytes: a policy document may be
	// 4 MiB (policy-schema.md), a message holds two of them at most.
	MaxMessage = 12 << 20
	// MaxFiles bounds the descriptors that come with one message.
	MaxFiles = 16

	headerSize = 4
)

// ErrMessageSize says that a peer announced a message over MaxMessage.
var ErrMessageSize = errors.New("message is larger than the bound")

// Conn is one end of a Unix stream socket that carries JSON messages and file
// descriptors (unix(7), SCM_RIGHTS). A message is a length in four bytes, big
// endian, and that many bytes of JSON; descriptors ride on the length. It is
// not for use by several goroutines at once.
type Conn struct {
	sock *net.UnixConn
}

// NewConn wraps a connected stream socket.
func NewConn(sock *net.UnixConn) *Conn { return &Conn{sock: sock} }

// FileConn makes a Conn of an inherited descriptor and closes f.
func FileConn(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("using descriptor %s as a socket: %w", f.Name(), err)
	}
	sock, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("using descriptor %s: it is a %T, not a Unix socket", f.Name(), c)
	}
	return NewConn(sock), nil
}

// Pair makes a connected pair: one end as a Conn, the other as a file to hand
// to a child. Both are close-on-exec.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	ours, err := FileConn(os.NewFile(uintptr(fds[0]), "socketpair"))
	if err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	return ours, os.NewFile(uintptr(fds[1]), "socketpair"), nil
}

// Socket returns the socket below, for deadlines and peer credentials.
func (c *Conn) Socket() *net.UnixConn { return c.sock }

// Close closes the socket.
func (c *Conn) Close() error { return c.sock.Close() }

// Send writes v as one message, with files beside it. The files stay the caller's.
func (c *Conn) Send(v any, files ...*os.File) error {
	if len(files) > MaxFiles {
		return fmt.Errorf("sending %d descriptors: %w", len(files), ErrMessageSize)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %T: %w", v, err)
	}
	if len(body) > MaxMessage {
		return fmt.Errorf("sending %T of %d bytes: %w", v, len(body), ErrMessageSize)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	msg := append(binary.BigEndian.AppendUint32(make([]byte, 0, headerSize+len(body)), uint32(len(body))), body...)
	n, _, err := c.sock.WriteMsgUnix(msg, rights, nil)
	if err == nil && n < len(msg) {
		_, err = c.sock.Write(msg[n:])
	}
	if err != nil {
		return fmt.Errorf("sending %T: %w", v, err)
	}
	return nil
}

// Receive reads one message into v, which is a pointer, and returns the
// descriptors that came with it, close-on-exec, for the caller to close. At the
// end of the stream the error is io.EOF.
func (c *Conn) Receive(v any) ([]*os.File, error) {
	var header [headerSize]byte
	files, err := c.receiveHeader(header[:])
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[:])
	if size > MaxMessage {
		closeAll(files)
		return nil, fmt.Errorf("receiving %T of %d bytes: %w", v, size, ErrMessageSize)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.sock, body); err != nil {
		closeAll(files)
		return nil, fmt.Errorf("receiving %T: %w", v, err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		closeAll(files)
		return nil, fmt.Errorf("decoding %T: %w", v, err)
	}
	return files, nil
}

// receiveHeader reads the length and the descriptors that ride on it.
func (c *Conn) receiveHeader(header []byte) ([]*os.File, error) {
	oob := make([]byte, unix.CmsgSpace(MaxFiles*4))
	n, oobn, flags, _, err := c.sock.ReadMsgUnix(header, oob)
	if err != nil {
		return nil, err
	}
	files, err := parseRights(oob[:oobn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = fmt.Errorf("receiving descriptors: more than %d", MaxFiles)
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil && n < len(header) {
		_, err = io.ReadFull(c.sock, header[n:])
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// parseRights takes the descriptors out of control messages.
func parseRights(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parsing control messages: %w", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if errors.Is(err, unix.EINVAL) {
			continue // credentials or another kind: not ours
		}
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("parsing descriptors: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// endOfStream turns the errors of a stream that has simply ended into nil.
func endOfStream(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return err
}
