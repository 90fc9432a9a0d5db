package egress

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"github.com/nemoclaw/nemoclaw/egress/http1"
	"github.com/nemoclaw/nemoclaw/egress/mitm"
)

// speech is what a client's first bytes are.
type speech uint8

const (
	speechUnknown speech = iota // more bytes are needed
	speechSilent                // nothing was said in time
	speechTLS
	speechHTTP
	speechOther
	speechEnded // the stream ended, or broke
)

// sniffer is a connection whose first bytes can be looked at before they are
// read.
type sniffer struct {
	net.Conn
	buf []byte // read ahead
}

func newSniffer(c net.Conn) *sniffer { return &sniffer{Conn: c} }

// Read gives what was read ahead first.
func (s *sniffer) Read(p []byte) (int, error) {
	if len(s.buf) > 0 {
		n := copy(p, s.buf)
		if s.buf = s.buf[n:]; len(s.buf) == 0 {
			s.buf = nil
		}
		return n, nil
	}
	return s.Conn.Read(p)
}

// CloseWrite ends our side of the connection, where that can be done alone.
func (s *sniffer) CloseWrite() error {
	half, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// more reads ahead.
func (s *sniffer) more() error {
	const step = 2048
	s.buf = append(s.buf, make([]byte, step)...)
	n, err := s.Conn.Read(s.buf[len(s.buf)-step:])
	s.buf = s.buf[:len(s.buf)-step+n]
	if n > 0 {
		return nil
	}
	return err
}

// hello reads ahead until there is something, and a whole ClientHello if that
// is what it begins.
func (s *sniffer) hello() error {
	for {
		if len(s.buf) > 0 {
			_, err := mitm.ParseHello(s.buf)
			if !errors.Is(err, mitm.ErrShort) || len(s.buf) > mitm.MaxHello {
				return nil
			}
		}
		if err := s.more(); err != nil {
			return err
		}
	}
}

// speech reads ahead until it is clear what the client speaks, or wait is over.
// A wait of 0 is for ever.
func (s *sniffer) speech(wait time.Duration) speech {
	if wait > 0 {
		_ = s.Conn.SetReadDeadline(time.Now().Add(wait))
		defer s.Conn.SetReadDeadline(time.Time{})
	}
	for {
		if k := classify(s.buf); k != speechUnknown {
			return k
		}
		if err := s.more(); err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				return speechSilent
			}
			if errors.Is(err, io.EOF) && len(s.buf) > 0 && !mitm.IsTLS(s.buf) {
				return speechOther // half a line, and no more
			}
			return speechEnded
		}
	}
}

// classify tells what a stream that begins with b is. Everything that a lenient
// HTTP server might take for a request line counts as HTTP, so that nothing
// slips by as "other": a first line, after empty ones, with "HTTP/" in it.
func classify(b []byte) speech {
	if mitm.IsTLS(b) {
		return speechTLS
	}
	b = bytes.TrimLeft(b, "\r\n")
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if whole || len(line) > http1.MaxHead {
		if bytes.Contains(bytes.ToUpper(line), []byte("HTTP/")) {
			return speechHTTP
		}
		return speechOther
	}
	for _, c := range line {
		if (c < ' ' && c != '\t' && c != '\r') || c == 0x7f {
			return speechOther
		}
	}
	return speechUnknown
}

// firstSpeaker waits until one of the two has said something, and reports
// whether it was the client. Nothing that was said is lost.
func firstSpeaker(client, server *sniffer) (clientFirst bool, err error) {
	type result struct {
		client bool
		err    error
	}
	done := make(chan result, 2)
	go func() { done <- result{true, client.more()} }()
	go func() { done <- result{false, server.more()} }()
	first := <-done
	past := time.Unix(1, 0)
	_ = client.SetReadDeadline(past)
	_ = server.SetReadDeadline(past)
	<-done
	_ = client.SetReadDeadline(time.Time{})
	_ = server.SetReadDeadline(time.Time{})
	return first.client, first.err
}
