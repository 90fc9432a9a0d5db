package egress

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress/dns"
	"github.com/nemoclaw/nemoclaw/egress/peer"
	"github.com/nemoclaw/nemoclaw/policy"
)

// policyLocal is the name that explains the policy in force.
const policyLocal = "policy.local"

// repeatWindow is how long the same answer to the same question is not recorded
// again: resolvers ask for A and AAAA, and in rounds.
const repeatWindow = 5 * time.Second

// decideName answers one query. It never leads to a query of our own.
func (p *Proxy) decideName(_ context.Context, name, qtype string, from dns.Peer) dns.Outcome {
	res, holder := p.askerOf(from)
	e := audit.Event{Kind: audit.KindDNS, Host: name, Proto: "dns", Method: qtype}
	if holder != nil {
		e.Binary, e.PID = holder.Caller.Path, holder.PID
	}
	if res == nil {
		return p.denyName(p.known.all(), &e, ReasonUnknownProcess, "the process that asks is in no container here")
	}
	verdict := policy.NameAllowed
	reason := policy.ReasonAllowed
	if name == policyLocal {
		reason = ReasonBuiltin
	} else {
		verdict = res.matcher.Name(name)
	}
	if verdict != policy.NameAllowed && verdict != policy.NameAskable {
		return p.denyName([]*resident{res}, &e, policy.ReasonNoRuleForHost, "no rule of the sandbox's policy names this host")
	}
	addr, err := p.cfg.Names.Assign(name)
	if err != nil {
		why := ReasonInternal
		if errors.Is(err, dns.ErrFull) {
			why = ReasonNamesUsedUp
		}
		return p.denyName([]*resident{res}, &e, why, err.Error())
	}
	e.Verdict, e.Reason, e.Addr = policy.Allow.String(), string(reason), addr.String()
	if verdict == policy.NameAskable {
		e.Message = "answered so that the connection can be asked about or refused in words"
	}
	if !p.recordName(res, &e) {
		return dns.Outcome{Kind: dns.Failed}
	}
	return dns.Outcome{Kind: dns.Known, Addr: addr}
}

func (p *Proxy) denyName(where []*resident, e *audit.Event, reason policy.Reason, why string) dns.Outcome {
	e.Verdict, e.Reason, e.Message = policy.Deny.String(), string(reason), why
	for _, res := range where {
		if one := *e; !p.recordName(res, &one) {
			return dns.Outcome{Kind: dns.Failed}
		}
	}
	return dns.Outcome{Kind: dns.Blocked, Why: "nemoclaw: " + why}
}

// askerOf finds the container that asks. Where there is only one, it is that
// one: what is answered does not depend on the process.
func (p *Proxy) askerOf(from dns.Peer) (*resident, *Holder) {
	if res := p.known.only(); res != nil {
		return res, nil
	}
	s, err := p.socketOf(from)
	if err != nil {
		return nil, nil
	}
	holders, err := p.cfg.Who(s.Inode, false)
	if err != nil {
		return nil, nil
	}
	return p.oneContainer(holders)
}

func (p *Proxy) socketOf(from dns.Peer) (peer.Socket, error) {
	if from.Stream == nil {
		return p.cfg.Diag.UDP(from.Addr)
	}
	dst, err := originalDst(from.Stream)
	if err != nil {
		return peer.Socket{}, err
	}
	return p.cfg.Diag.TCP(from.Addr, dst)
}

// oneContainer returns the container that all holders are in, and the first of
// them; nil if there are none, or they are in several.
func (p *Proxy) oneContainer(holders []Holder) (*resident, *Holder) {
	if len(holders) == 0 {
		return nil, nil
	}
	for _, h := range holders {
		if h.Container != holders[0].Container {
			return nil, nil
		}
	}
	return p.known.get(holders[0].Container), &holders[0]
}

// recordName writes e into a container's log, unless the same was written a
// moment ago, and reports whether the answer may be given.
func (p *Proxy) recordName(res *resident, e *audit.Event) bool {
	key := nameKey{res.ID, e.Host, e.Verdict, e.Reason}
	if p.names.lately(key, time.Now()) {
		return true
	}
	e.Sandbox, e.Policy = res.ID, res.Digest
	if res.Log.Write(e) != nil {
		return false
	}
	p.names.note(key, time.Now())
	return true
}

// nameLog remembers which answers were recorded lately. Its memory is bounded:
// when it is full it forgets everything, and more is recorded than need be.
type nameLog struct {
	mu   sync.Mutex
	last map[nameKey]time.Time
}

type nameKey struct{ container, name, verdict, reason string }

const maxNameLog = 1024

func (l *nameLog) lately(k nameKey, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.last[k]
	return ok && now.Sub(t) < repeatWindow
}

func (l *nameLog) note(k nameKey, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil || len(l.last) >= maxNameLog {
		l.last = make(map[nameKey]time.Time)
	}
	l.last[k] = now
}
