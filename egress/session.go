package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress/dns"
	"github.com/nemoclaw/nemoclaw/egress/http1"
	"github.com/nemoclaw/nemoclaw/policy"
)

const (
	// idleTimeout ends a connection on which no request comes.
	idleTimeout = 5 * time.Minute
	// readSize is that of the buffer in front of a connection.
	readSize = 4 << 10
)

// session is HTTP on one connection: requests one after the other, each decided
// about, each answered before the next is read.
type session struct {
	f      *flow
	conn   net.Conn
	r      *bufio.Reader
	secure bool // TLS was ended: the server is spoken to in TLS too
	n      int  // requests so far

	rights *messages // of the WebSocket asked for last; nil: no rule speaks of messages

	up     net.Conn
	upr    *bufio.Reader
	reused bool // a response has come on up before
}

func (f *flow) session(c net.Conn, secure bool) *session {
	return &session{f: f, conn: c, r: bufio.NewReaderSize(c, readSize), secure: secure}
}

// use makes an open connection the session's upstream.
func (s *session) use(up net.Conn) {
	s.up, s.upr, s.reused = up, bufio.NewReaderSize(up, readSize), false
}

// run serves requests until one of the ends, or a denial, ends the connection.
func (s *session) run() {
	defer s.conn.Close()
	defer s.drop()
	defer context.AfterFunc(s.f.ctx, func() { s.conn.Close() })()
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(idleTimeout))
		q, err := http1.ReadRequest(s.r)
		if err != nil {
			s.unreadable(err)
			return
		}
		_ = s.conn.SetReadDeadline(time.Time{})
		s.n++
		if !s.serve(q) {
			return
		}
	}
}

// drop closes the upstream connection, if there is one.
func (s *session) drop() {
	if s.up != nil {
		s.up.Close()
		s.up, s.upr = nil, nil
	}
}

// unreadable answers a request that could not be read, if it was one.
func (s *session) unreadable(err error) {
	var m *http1.Malformed
	if !errors.As(err, &m) {
		return
	}
	s.n++
	d := deny(policy.ReasonMalformed, m.Why)
	d.Rule, d.At = s.f.verdict.Rule, s.f.verdict.At
	s.f.record(s.event(nil, &d, 400))
	s.reply(nil, 400, s.denial(nil, &d))
}

// serve handles one request, and reports whether another may follow.
func (s *session) serve(q *http1.Request) bool {
	if s.f.host == policyLocal {
		return s.servePolicy(q)
	}
	path, d := s.judge(q)
	if d.Verdict == policy.Deny {
		if !s.f.record(s.event(q, &d, 403)) {
			return false
		}
		return s.reply(q, 403, s.denial(q, &d))
	}
	if !s.f.record(s.event(q, &d, 0)) {
		d = deny(ReasonNoRecord, "the audit log cannot be written")
		return s.reply(q, 403, s.denial(q, &d))
	}
	return s.forward(q, path)
}

// refuseOne answers the first request with a denial of the whole connection,
// which has been recorded.
func (s *session) refuseOne(d *policy.Decision) {
	defer s.conn.Close()
	q, err := http1.ReadRequest(s.r)
	if err != nil {
		s.unreadable(err)
		return
	}
	s.n++
	q.Close = true
	status := 403
	switch d.Reason {
	case ReasonNotResolved, ReasonUpstream:
		status = 502
	}
	s.reply(q, status, s.denial(q, d))
}

// judge decides about one request, and gives the path to forward.
func (s *session) judge(q *http1.Request) (string, policy.Decision) {
	if !s.rightHost(q.Host) {
		return "", deny(ReasonNameMismatch, "the Host field is not the host that was looked up and connected to")
	}
	if s.f.verdict.Treatment != policy.TreatInspect {
		d := s.f.verdict
		d.Why = "the rule leaves the content of this connection free"
		return q.Path, d
	}
	r := policy.Request{
		Stage: policy.StageRequest, Host: s.f.host, Addr: s.f.literal(), Port: s.f.dst.Port(), Callers: s.f.callers,
		Method: q.Method, Path: q.Path, RawQuery: q.RawQuery,
	}
	switch q.Upgrade {
	case "", "h2c": // h2c may be ignored (RFC 9113, 3.1), and is
	case "websocket":
		r.WebSocket = policy.WebSocketUpgrade
	default:
		r.Upgrade = true
	}
	d := s.f.res.matcher.Decide(&r)
	s.rights = nil
	if d.Verdict != policy.Deny && r.WebSocket == policy.WebSocketUpgrade {
		s.rights = s.judgeMessages(r)
	}
	if d.Verdict == policy.Deny || q.Path == "*" {
		return q.Path, d
	}
	path, ok := policy.NormalizePath(q.Path, d.Endpoint != nil && d.Endpoint.AllowEncodedSlash)
	if !ok {
		return "", deny(policy.ReasonMalformed, "the path has no single meaning")
	}
	return path, d
}

// rightHost holds the Host field against the destination. A port may be left
// out; one that is there has to be the one connected to.
func (s *session) rightHost(field string) bool {
	host, port := field, ""
	if i := strings.LastIndexByte(field, ':'); i >= 0 && !strings.HasSuffix(field, "]") {
		host, port = field[:i], field[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || uint16(n) != s.f.dst.Port() {
			return false
		}
	}
	if s.f.host != "" {
		name, ok := dns.Canonical(host)
		return ok && name == s.f.host
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap() == s.f.dst.Addr()
}

// event begins a record about one request.
func (s *session) event(q *http1.Request, d *policy.Decision, status int) *audit.Event {
	e := s.f.event(audit.KindRequest, d)
	e.Proto, e.Status, e.RequestID = "http/1.1", status, s.requestID()
	if q != nil {
		e.Method, e.Path = q.Method, q.Path
	}
	return e
}

func (s *session) requestID() string { return s.f.id + "-" + strconv.Itoa(s.n) }

// connect makes sure that there is an upstream connection.
func (s *session) connect() *failure {
	if s.up != nil {
		return nil
	}
	up, fail := s.f.openAny(s.secure)
	if fail != nil {
		return fail
	}
	s.use(up)
	return nil
}

// forward sends an allowed request on and its response back.
func (s *session) forward(q *http1.Request, path string) bool {
	for {
		if fail := s.connect(); fail != nil {
			return s.reply(q, fail.status, s.denial(q, &fail.Decision))
		}
		again := s.reused && q.Body.None() && (q.Method == "GET" || q.Method == "HEAD" || q.Method == "OPTIONS")
		keep, err := s.exchange(q, path)
		if again && errors.Is(err, errNoResponse) {
			s.drop() // closed while it was idle: a new connection, with a new look at the address
			continue
		}
		if err != nil {
			s.f.note = err.Error()
		}
		if errors.Is(err, errBadResponse) || errors.Is(err, errNoResponse) && !s.reused {
			d := s.f.verdict
			d.Verdict, d.Reason, d.Why = policy.Deny, ReasonUpstream, err.Error()
			s.reply(q, 502, s.denial(q, &d))
			return false
		}
		return keep && err == nil
	}
}

var (
	errNoResponse  = errors.New("the server closed the connection without a response")
	errBadResponse = errors.New("the server's response is not HTTP/1.1")
)

// exchange sends one request and passes its response on. The body goes up while
// the response comes down: a server may answer before it has read everything.
func (s *session) exchange(q *http1.Request, path string) (keep bool, err error) {
	upgrade := q.Upgrade != "" && q.Upgrade != "h2c"
	head := q.Head(path, q.Host, upgrade)
	up := s.up
	defer context.AfterFunc(s.f.ctx, func() { up.Close() })()
	if _, err := up.Write(head); err != nil {
		return false, errNoResponse
	}
	s.f.out.Add(int64(len(head)))
	sent := s.sendBody(q, up)
	keep, err = s.respond(q, upgrade)
	if err == nil && keep && wholeBody(sent) {
		return true, nil
	}
	s.drop()
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // ends the copy of the body
	<-sent
	if err == nil && !q.Body.None() {
		s.lingerClose()
	}
	return false, err
}

// sendBody copies the request's body up, and closes the channel when that is
// over, after true if all of it was sent.
func (s *session) sendBody(q *http1.Request, up net.Conn) <-chan bool {
	sent := make(chan bool, 1)
	if q.Body.None() {
		sent <- true
		close(sent)
		return sent
	}
	go func() {
		defer close(sent)
		n, err := http1.CopyBody(up, s.r, q.Body)
		s.f.out.Add(n)
		if err != nil {
			up.Close() // a request that is cut short must not look whole
			return
		}
		sent <- true
	}()
	return sent
}

// wholeBody reports whether the body was sent. A server that answers before it
// has read everything leaves nobody knowing how much is still to come.
func wholeBody(sent <-chan bool) bool {
	select {
	case ok := <-sent:
		return ok
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// respond passes the response on, interim ones first.
func (s *session) respond(q *http1.Request, upgrade bool) (keep bool, err error) {
	for {
		r, err := http1.ReadResponse(s.upr, q.Method)
		if err != nil {
			var m *http1.Malformed
			if errors.As(err, &m) {
				return false, errBadResponse
			}
			return false, errNoResponse
		}
		if r.Informational() {
			if q.Minor == 1 {
				if _, err := s.conn.Write(r.Head(false)); err != nil {
					return false, err
				}
			}
			continue
		}
		if r.Status == 101 {
			if !upgrade || r.Up != q.Upgrade {
				return false, errBadResponse
			}
			return false, s.tunnel(r)
		}
		keep := !q.Close && !r.Close
		n, err := s.conn.Write(r.Head(!keep))
		s.f.in.Add(int64(n))
		if err == nil && r.HasBody(q.Method) {
			var m int64
			m, err = http1.CopyBody(s.conn, s.upr, r.Body)
			s.f.in.Add(m)
		}
		s.reused = true
		if r.Close {
			s.drop()
		}
		return keep && err == nil, err
	}
}

// tunnel relays what follows a 101.
func (s *session) tunnel(r *http1.Response) error {
	if _, err := s.conn.Write(r.Head(false)); err != nil {
		return err
	}
	up, upr := s.up, s.upr
	go s.copyMessages(up)
	n, err := io.Copy(s.conn, upr)
	s.f.in.Add(n)
	finish(s.conn, up, err)
	return nil
}

// lingerClose ends our side and reads on for a moment: closing with unread
// bytes makes the kernel send a RST, which takes the answer away from the client.
func (s *session) lingerClose() {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, s.r, 256<<10)
}
