package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress/dns"
	"github.com/nemoclaw/nemoclaw/egress/mitm"
	"github.com/nemoclaw/nemoclaw/policy"
)

// relay passes an L4 connection on, untouched. What the agent sends first is
// looked at: if it is TLS, it has to ask for the name that was decided about.
func (f *flow) relay() {
	up, fail := f.open()
	if fail != nil {
		f.refuse(&fail.Decision)
		return
	}
	first := newSniffer(f.client)
	f.splice(f.client, up, func() error { return f.checkHello(first, up) })
}

// errDenied ends a relay that turns out not to be what was decided about.
var errDenied = errors.New("denied")

// checkHello sends the agent's first bytes on once they have been seen. Bytes
// that are no TLS are the protocol's own business.
func (f *flow) checkHello(first *sniffer, up net.Conn) error {
	if err := first.hello(); err != nil {
		return err
	}
	if mitm.IsTLS(first.buf) {
		if d := f.checkServerName(first.buf); d.Verdict == policy.Deny {
			f.record(f.event(audit.KindConnect, &d))
			f.note = d.Why
			return errDenied
		}
	}
	return f.flush(first, up)
}

// flush sends on what was read ahead.
func (f *flow) flush(from *sniffer, up net.Conn) error {
	n, err := up.Write(from.buf)
	f.out.Add(int64(n))
	from.buf = nil
	return err
}

// checkServerName holds the name in a ClientHello against the one that was
// decided about. A literal destination needs none, and may have none other.
func (f *flow) checkServerName(hello []byte) policy.Decision {
	h, err := mitm.ParseHello(hello)
	if err != nil {
		return deny(policy.ReasonMalformed, "the TLS ClientHello cannot be read")
	}
	switch name, ok := dns.Canonical(h.ServerName); {
	case h.ServerName == "" && f.host == "":
	case h.ServerName == "":
		return deny(ReasonNoServerName, "TLS to a name has to say the name (SNI)")
	case !ok || name != f.host:
		return deny(ReasonNameMismatch, "the TLS server name is not the name that was looked up")
	}
	return f.verdict
}

// splice copies both ways until both ends have said all, with splice(2) where
// both are plain TCP, and closes them. begin runs before anything of the agent's
// is copied, while the server may already speak.
func (f *flow) splice(client, up net.Conn, begin func() error) {
	closeBoth := func() { client.Close(); up.Close() }
	defer closeBoth()
	defer context.AfterFunc(f.ctx, closeBoth)()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		n, err := copyAll(client, up)
		f.in.Add(n)
		finish(client, up, err)
	}()
	err := begin()
	if err == nil {
		var n int64
		n, err = io.Copy(up, client)
		f.out.Add(n)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if errors.Is(err, errDenied) {
		reset(f.client)
	}
	finish(up, client, err)
	wg.Wait()
}

// copyAll is io.Copy that takes a sniffer's bytes first and then the connection
// below it, because splice(2) works between plain connections alone.
func copyAll(dst, src net.Conn) (int64, error) {
	var ahead int64
	if s, ok := src.(*sniffer); ok {
		n, err := dst.Write(s.buf)
		s.buf = nil
		if ahead = int64(n); err != nil {
			return ahead, err
		}
		src = s.Conn
	}
	n, err := io.Copy(dst, src)
	return ahead + n, err
}

// finish passes the end of one direction on: the end of the stream as a
// half-close, an error as the end of both.
func finish(dst, src net.Conn, err error) {
	half, ok := dst.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		dst.Close()
		src.Close()
	}
}
