package egress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/policy"
)

// flow is one connection of an agent.
type flow struct {
	proxy  *Proxy
	client *net.TCPConn
	began  time.Time

	dst     netip.AddrPort // where the agent wanted to go
	host    string         // canonical name behind dst; "" for a literal address
	res     *resident      // whose connection it is; nil: nobody's that is known
	callers []policy.Caller
	first   *Holder // of the holders, for the records
	id      string  // request id, of the connection; requests on it append a number

	ctx      context.Context
	verdict  policy.Decision // of StageConnect
	upstream netip.Addr      // what was dialled
	out, in  atomic.Int64    // bytes
	note     string          // what went wrong, for the close record
}

// arrive finds out where the connection was going, and gives it an id. False:
// it was not redirected to us, or its origin cannot be told.
func (f *flow) arrive() bool {
	dst, err := originalDst(f.client)
	if err != nil {
		return false
	}
	f.dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	f.ctx = f.proxy.ctx
	var b [8]byte
	rand.Read(b[:])
	f.id = hex.EncodeToString(b[:])
	return true
}

// run finds out who asks, and goes on from there.
func (f *flow) run() {
	f.identify()
	f.carryOut()
}

// carryOut decides about the connection, records it, and does what was decided.
func (f *flow) carryOut() {
	f.verdict = f.decide()
	if !f.record(f.event(audit.KindConnect, &f.verdict)) {
		reset(f.client)
		return
	}
	if f.res != nil {
		ctx, cancel := context.WithCancel(f.res.ctx)
		defer cancel()
		f.ctx = ctx
		// Removing the container closes its connections.
		defer context.AfterFunc(f.res.ctx, func() { f.client.Close() })()
	}
	if f.verdict.Verdict == policy.Deny {
		f.refuse(&f.verdict)
		return
	}
	if f.host == policyLocal {
		f.explain()
		return
	}
	switch f.verdict.Treatment {
	case policy.TreatRelay:
		f.relay()
	case policy.TreatTerminate:
		f.terminate()
	case policy.TreatInspect:
		f.inspect()
	default:
		reset(f.client)
	}
}

// identify finds the processes at the other end, and the container they are in.
func (f *flow) identify() {
	p := f.proxy
	local := f.client.RemoteAddr().(*net.TCPAddr).AddrPort()
	s, err := p.cfg.Diag.TCP(local, f.dst)
	if err != nil {
		f.note = err.Error()
		return
	}
	holders, err := p.cfg.Who(s.Inode, p.known.wantHash())
	if err != nil {
		f.note = err.Error()
		return
	}
	if f.res, f.first = p.oneContainer(holders); f.res == nil {
		return
	}
	f.callers = make([]policy.Caller, len(holders))
	for i := range holders {
		f.callers[i] = holders[i].Caller
	}
}

// decide asks policy about the connection. Whatever is unknown denies.
func (f *flow) decide() policy.Decision {
	if f.res == nil {
		return deny(ReasonUnknownProcess, "the process at the other end is not in a container of this sandbox, or in more than one")
	}
	if f.proxy.cfg.Names.Pool().Contains(f.dst.Addr()) {
		name, ok := f.proxy.cfg.Names.Name(f.dst.Addr())
		if !ok {
			return deny(ReasonUnknownAddress, "the sandbox's name service never gave out this address")
		}
		f.host = name
	}
	if f.host == policyLocal {
		return policy.Decision{Verdict: policy.Allow, Reason: ReasonBuiltin, Treatment: policy.TreatInspect}
	}
	return f.res.matcher.Decide(&policy.Request{
		Stage: policy.StageConnect, Host: f.host, Addr: f.literal(), Port: f.dst.Port(), Callers: f.callers,
	})
}

// literal is the destination where no name stands for it.
func (f *flow) literal() netip.Addr {
	if f.host != "" {
		return netip.Addr{}
	}
	return f.dst.Addr()
}

// target names the destination for people, and for certificates.
func (f *flow) target() string {
	if f.host != "" {
		return f.host
	}
	return f.dst.Addr().String()
}

func deny(reason policy.Reason, why string) policy.Decision {
	return policy.Decision{Verdict: policy.Deny, Reason: reason, Why: why, Enforced: true}
}

// event begins a record about this connection.
func (f *flow) event(kind audit.Kind, d *policy.Decision) *audit.Event {
	e := &audit.Event{
		Kind: kind, Proto: "tcp", Host: f.host, Port: int(f.dst.Port()), RequestID: f.id,
		Verdict: d.Verdict.String(), Reason: string(d.Reason), Rule: d.Rule, At: d.At.String(), Message: d.Why,
	}
	if f.host == "" {
		e.Addr = f.dst.Addr().String()
	}
	if f.first != nil {
		e.Binary, e.PID = f.first.Caller.Path, f.first.PID
	}
	return e
}

// record writes e to the container's log, or to all of them where the container
// is not known, and reports whether what it says may happen.
func (f *flow) record(e *audit.Event) bool {
	if f.res != nil {
		e.Sandbox, e.Policy = f.res.ID, f.res.Digest
		return f.res.Log.Write(e) == nil
	}
	ok := false
	for _, res := range f.proxy.known.all() {
		one := *e
		one.Sandbox, one.Policy = res.ID, res.Digest
		ok = res.Log.Write(&one) == nil || ok
	}
	return ok
}

// close records the end of a connection that was let through.
func (f *flow) close() {
	if f.res == nil || f.verdict.Verdict == policy.Deny {
		return
	}
	e := f.event(audit.KindClose, &f.verdict)
	e.BytesOut, e.BytesIn, e.Message = f.out.Load(), f.in.Load(), f.note
	if f.upstream.IsValid() {
		e.Addr = f.upstream.String()
	}
	f.record(e) // nothing follows that could be withheld
}
