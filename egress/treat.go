package egress

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress/mitm"
	"github.com/nemoclaw/nemoclaw/policy"
)

const (
	// silence is how long an L4 client may say nothing before it is taken for
	// one that waits for the server to speak first.
	silence = 200 * time.Millisecond
	// patience bounds the wait for the first bytes, and for a TLS handshake.
	patience = 30 * time.Second
	// refusalPatience is the same for a connection that is refused anyway.
	refusalPatience = 3 * time.Second
)

// inspect treats a connection of which every request is decided about.
func (f *flow) inspect() {
	s := newSniffer(f.client)
	switch s.speech(patience) {
	case speechTLS:
		t := f.endTLS(s)
		if t == nil {
			return
		}
		in := newSniffer(t)
		if in.speech(idleTimeout) == speechHTTP {
			f.session(in, true).run()
			return
		}
		f.notHTTP(in.buf)
	case speechHTTP:
		f.session(s, false).run()
	default:
		f.notHTTP(s.buf)
	}
}

// notHTTP ends an inspected connection that does not speak HTTP.
func (f *flow) notHTTP(said []byte) {
	if len(said) == 0 {
		return // opened and closed again: nothing to decide about
	}
	d := deny(ReasonNotHTTP, "the rule inspects HTTP, and the connection speaks something else")
	d.Rule, d.At = f.verdict.Rule, f.verdict.At
	f.record(f.event(audit.KindConnect, &d))
	f.note = d.Why
	reset(f.client)
}

// terminate treats a connection whose content is free: what turns out to be
// HTTP has to name the host that was decided about, all else is relayed.
func (f *flow) terminate() {
	s := newSniffer(f.client)
	switch s.speech(silence) {
	case speechTLS:
		t := f.endTLS(s)
		if t == nil {
			return
		}
		in := newSniffer(t)
		f.freeContent(in, in.speech(silence), true)
	case speechEnded:
	default:
		f.freeContent(s, classifyOrSilent(s.buf), false)
	}
}

func classifyOrSilent(b []byte) speech {
	if k := classify(b); k != speechUnknown {
		return k
	}
	return speechSilent
}

// freeContent goes on when TLS, if there was any, has been ended.
func (f *flow) freeContent(in *sniffer, kind speech, secure bool) {
	if kind == speechEnded {
		return
	}
	if kind == speechHTTP {
		f.session(in, secure).run()
		return
	}
	up, fail := f.openAny(secure)
	if fail != nil {
		if kind != speechSilent || !secure {
			reset(f.client)
		}
		return
	}
	if kind == speechSilent {
		server := newSniffer(up)
		first, err := firstSpeaker(in, server)
		if err != nil && len(server.buf) == 0 && len(in.buf) == 0 {
			up.Close()
			return
		}
		if up = server; first && f.lateRequest(in, server, secure) {
			return
		}
	}
	f.relayFree(in, up)
}

// lateRequest serves a client that took its time and then spoke HTTP.
func (f *flow) lateRequest(in, server *sniffer, secure bool) bool {
	if len(server.buf) > 0 || in.speech(patience) != speechHTTP {
		return false
	}
	s := f.session(in, secure)
	s.use(server)
	s.run()
	return true
}

// relayFree relays what is no HTTP. The agent's first line is held until it is
// whole, or binary: a client that begins to speak HTTP, or TLS, after the server
// has spoken is cut off. No protocol does that, but a client that wants to get
// around the check of the Host would.
func (f *flow) relayFree(in *sniffer, up net.Conn) {
	f.splice(client(in), up, func() error {
		kind := classify(in.buf)
		for ; kind == speechUnknown; kind = classify(in.buf) {
			if err := in.more(); errors.Is(err, io.EOF) {
				return errors.Join(f.flush(in, up), err) // half a line, and no more: no request
			} else if err != nil {
				return err
			}
		}
		if kind != speechOther {
			d := deny(ReasonNotHTTP, "the connection changes what it speaks")
			f.record(f.event(audit.KindConnect, &d))
			return errDenied
		}
		return f.flush(in, up)
	})
}

// client gives the connection below a sniffer whose bytes have been taken, so
// that splice(2) can be used.
func client(s *sniffer) net.Conn { return s.Conn }

// openAny dials, with TLS where the agent spoke TLS.
func (f *flow) openAny(secure bool) (net.Conn, *failure) {
	if secure {
		return f.openTLS()
	}
	c, fail := f.open()
	if fail != nil {
		return nil, fail
	}
	return c, nil
}

// endTLS checks the name and makes the handshake with the agent. Nil: the
// connection is over, and why has been recorded.
func (f *flow) endTLS(s *sniffer) net.Conn {
	_ = s.SetDeadline(time.Now().Add(patience))
	defer s.SetDeadline(time.Time{})
	if err := s.hello(); err != nil {
		return nil
	}
	if d := f.checkServerName(s.buf); d.Verdict == policy.Deny {
		f.record(f.event(audit.KindConnect, &d))
		f.note = d.Why
		_, _ = s.Write([]byte{21, 3, 3, 0, 2, 2, 112}) // alert: fatal, unrecognized_name (RFC 6066)
		return nil
	}
	t, err := f.serveTLS(s)
	if err != nil {
		f.note = "TLS with the agent: " + err.Error()
		return nil
	}
	return t
}

// serveTLS makes the handshake in the destination's place.
func (f *flow) serveTLS(s *sniffer) (net.Conn, error) {
	leaf, err := f.proxy.cfg.CA.Leaf(f.target(), time.Now())
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		Certificates:           []tls.Certificate{*leaf},
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true, // each would be under a key of its own, and never used
	}
	if h, err := mitm.ParseHello(s.buf); err == nil && (slices.Contains(h.ALPN, "http/1.1") || slices.Contains(h.ALPN, "h2")) {
		cfg.NextProtos = []string{"http/1.1"}
	}
	t := tls.Server(s, cfg)
	if err := t.HandshakeContext(f.ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// refuse tells the agent that the connection is denied, in the protocol that it
// speaks, if that is HTTP; else the connection is reset.
func (f *flow) refuse(d *policy.Decision) {
	s := newSniffer(f.client)
	kind := s.speech(refusalPatience)
	if kind == speechTLS {
		_ = s.SetDeadline(time.Now().Add(refusalPatience))
		t, err := f.serveTLS(s)
		if err != nil {
			return
		}
		s = newSniffer(t)
		kind = s.speech(refusalPatience)
	}
	if kind != speechHTTP {
		reset(f.client)
		return
	}
	_ = s.SetDeadline(time.Now().Add(refusalPatience))
	f.session(s, false).refuseOne(d)
}

// explain answers requests to policy.local.
func (f *flow) explain() {
	s := newSniffer(f.client)
	kind := s.speech(patience)
	if kind == speechTLS {
		t := f.endTLS(s)
		if t == nil {
			return
		}
		s = newSniffer(t)
		kind = s.speech(patience)
	}
	if kind == speechHTTP {
		f.session(s, false).run()
	}
}
