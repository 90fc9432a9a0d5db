package egress

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/nemoclaw/nemoclaw/policy"
)

// messages says which messages an agent may send on a WebSocket; decided once,
// with the upgrade, because nothing in a message is looked at but its kind.
type messages struct {
	refusal policy.Decision // of the kinds that are denied
	text    bool
	binary  bool
}

// WebSocket opcodes (RFC 6455, 5.2).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
)

// errFrame ends a WebSocket whose agent sends what is no frame (RFC 6455).
var errFrame = errors.New("what follows the upgrade is no WebSocket frame of a client")

// copyFrames passes an agent's frames on, and stops at the first message of a
// kind that is denied, with errDenied. Payloads are not held.
func (m *messages) copyFrames(w io.Writer, r *bufio.Reader) (total int64, err error) {
	out := bufio.NewWriterSize(w, 4<<10)
	for {
		if r.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return total, err
			}
		}
		head, length, err := readFrameHead(r)
		if errors.Is(err, io.EOF) {
			return total, out.Flush()
		}
		if err != nil {
			return total, err
		}
		switch op := head[0] & 0x0f; {
		case op == opText && !m.text, op == opBinary && !m.binary:
			return total, errors.Join(errDenied, out.Flush())
		case op > opBinary && op < opClose:
			return total, errFrame
		case op == opContinuation && !m.text && !m.binary:
			return total, errors.Join(errDenied, out.Flush())
		}
		if _, err := out.Write(head); err != nil {
			return total, err
		}
		n, err := io.CopyN(out, r, length)
		if total += int64(len(head)) + n; err != nil {
			return total, err
		}
	}
}

// readFrameHead reads a frame up to its payload. A client's frames are masked.
func readFrameHead(r *bufio.Reader) (head []byte, length int64, err error) {
	two, err := r.Peek(2)
	if err != nil {
		if len(two) == 1 {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, err
	}
	if two[1]&0x80 == 0 {
		return nil, 0, errFrame
	}
	extra := 0
	switch two[1] & 0x7f {
	case 126:
		extra = 2
	case 127:
		extra = 8
	}
	head = make([]byte, 2+extra+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, 0, err
	}
	switch extra {
	case 0:
		length = int64(head[1] & 0x7f)
	case 2:
		length = int64(binary.BigEndian.Uint16(head[2:]))
	default:
		length = int64(binary.BigEndian.Uint64(head[2:]))
	}
	if length < 0 || head[0]&0x0f >= opClose && (length > 125 || head[0]&0x80 == 0) {
		return nil, 0, errFrame
	}
	return head, length, nil
}

// judgeMessages finds out which messages may follow an allowed upgrade.
func (s *session) judgeMessages(r policy.Request) *messages {
	m := &messages{}
	r.WebSocket = policy.WebSocketText
	text := s.f.res.matcher.Decide(&r)
	r.WebSocket = policy.WebSocketBinary
	binary := s.f.res.matcher.Decide(&r)
	m.text, m.binary = text.Verdict != policy.Deny, binary.Verdict != policy.Deny
	m.refusal = binary
	if !m.text {
		m.refusal = text
	}
	return m
}

// copyMessages carries the agent's side of an upgraded connection.
func (s *session) copyMessages(up net.Conn) {
	var n int64
	var err error
	if s.rights == nil || s.rights.text && s.rights.binary {
		n, err = io.Copy(up, s.r)
	} else {
		n, err = s.rights.copyFrames(up, s.r)
	}
	s.f.out.Add(n)
	if errors.Is(err, errDenied) {
		s.f.record(s.event(nil, &s.rights.refusal, 0))
		// Close, 1008: policy violation. A frame of the server's may be under
		// way; then the agent sees the end of the stream.
		_, _ = s.conn.Write([]byte{0x80 | opClose, 2, 0x03, 0xf0})
	}
	finish(up, s.conn, err)
}
