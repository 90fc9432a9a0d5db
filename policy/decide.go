package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// Decide answers a request. It is pure; while at most 16 endpoints match and
// the path is already normal it does not allocate.
func (m *Matcher) Decide(r *Request) Decision {
	d := m.decideOwn(r)
	for i, w := range m.within {
		if d.Verdict == Deny {
			return d
		}
		c := w.decideOwn(r)
		d.within(&c, i)
	}
	return d
}

// within intersects a decision with a ceiling's.
func (d *Decision) within(c *Decision, i int) {
	switch {
	case c.Verdict == Deny:
		*d = Decision{Verdict: Deny, Reason: ReasonCeiling, Rule: d.Rule, At: c.At, Why: c.Why, Endpoint: d.Endpoint}
		return
	case d.Verdict == Audit && c.Enforced:
		*d = Decision{Verdict: Deny, Reason: d.Reason, Rule: d.Rule, At: d.At, Why: d.Why, Endpoint: d.Endpoint, Enforced: true}
		return
	case d.Verdict == Allow && c.Verdict == Audit && !d.Enforced:
		d.Verdict, d.Reason, d.Why = Audit, c.Reason, c.Why
	}
	d.Treatment = min(d.Treatment, c.Treatment)
	d.Enforced = d.Enforced || c.Enforced
	d.ExactHost = d.ExactHost && c.ExactHost
	d.WithinIPs[i] = c.AllowedIPs
}

// decideOwn answers without the ceilings.
func (m *Matcher) decideOwn(r *Request) Decision {
	host, addr := r.Host, r.Addr
	if looksLikeAddress(host) {
		if a, ok := parseHostAddress(host); ok {
			host, addr = "", a
		}
	}
	if refusedPort(r.Port) {
		return Decision{Reason: ReasonPortRefused, Why: why(ReasonPortRefused)}
	}
	if host == "" {
		addr = addr.WithZone("").Unmap()
		if RefusedAddress(addr) {
			return Decision{Reason: ReasonAddressRefused, Why: why(ReasonAddressRefused)}
		}
	}
	var groupBuffer [8][]*endpoint
	groups := m.candidates(host, addr, groupBuffer[:0])
	if len(groups) == 0 && m.public == nil {
		return Decision{Reason: ReasonNoRuleForHost, Why: why(ReasonNoRuleForHost)}
	}
	var hitBuffer [16]*endpoint
	if c := m.crowded[host]; c != nil && len(r.Callers) > 0 {
		var narrowBuffer [16][]*endpoint
		narrow := append(c.of(&r.Callers[0], narrowBuffer[:0]), groups[1:]...)
		if hits, _ := m.hits(narrow, r, host, addr, hitBuffer[:0]); len(hits) > 0 {
			return decideHits(hits, r)
		}
		// Nothing is allowed: look at everything, for what came nearest.
	}
	hits, miss := m.hits(groups, r, host, addr, hitBuffer[:0])
	if len(hits) == 0 {
		return miss
	}
	return decideHits(hits, r)
}

// candidates gives the lists of endpoints whose host matches.
func (m *Matcher) candidates(host string, addr netip.Addr, out [][]*endpoint) [][]*endpoint {
	if host == "" {
		if list := m.address[addr]; list != nil {
			out = append(out, list)
		}
		if m.hostless != nil {
			out = append(out, m.hostless)
		}
		return out
	}
	if list := m.exact[host]; list != nil {
		out = append(out, list)
	}
	return m.wild.lookup(host, out)
}

// hits keeps the endpoints that also match by port, transport, address and
// process. If none does, the decision says what came nearest.
func (m *Matcher) hits(groups [][]*endpoint, r *Request, host string, addr netip.Addr, out []*endpoint) ([]*endpoint, Decision) {
	miss := Decision{Reason: ReasonNoRuleForHost, Why: why(ReasonNoRuleForHost)}
	rank := 0
	for _, group := range groups {
		for _, e := range group {
			n, reason := e.reach(r, host, addr)
			if reason == ReasonAllowed {
				out = append(out, e)
			} else if n > rank {
				rank = n
				miss = Decision{Reason: reason, Why: why(reason), Rule: e.rule.Name, At: e.At, Endpoint: e.Endpoint}
			}
		}
	}
	if m.public != nil && publicName(host) && slices.Contains(m.public.Ports, r.Port) && !r.UDP {
		out = append(out, m.public)
	}
	return out, miss
}

// reach says how far a request comes with an endpoint before its content counts.
func (e *endpoint) reach(r *Request, host string, addr netip.Addr) (rank int, reason Reason) {
	switch {
	case host == "" && e.AllowedIPs != nil && !inside(e.AllowedIPs, addr):
		if !slices.Contains(e.Ports, r.Port) {
			return 0, ReasonNoRuleForHost
		}
		return 1, ReasonAddressNotAllowed
	case !slices.Contains(e.Ports, r.Port):
		return 2, ReasonPortNotAllowed
	case r.UDP != (e.Protocol == ProtocolUDP):
		return 3, ReasonProtocol
	case !e.rule.permits(r.Callers):
		return 4, ReasonBinaryNotAllowed
	}
	return 5, ReasonAllowed
}

// publicName reports whether a canonical name can be one of the public DNS: two
// labels or more, and no ending that is reserved for local use (RFC 6761, 6762,
// 8375, 9476; ICANN's .internal).
func publicName(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	if dot <= 0 || isAddress(host) {
		return false
	}
	switch host[dot+1:] {
	case "local", "localhost", "internal", "intranet", "private", "corp", "home", "lan", "arpa", "onion", "test", "invalid", "alt":
		return false
	}
	return true
}

// decideHits decides among the endpoints that this process may use here.
func decideHits(hits []*endpoint, r *Request) Decision {
	if r.Stage == StageConnect {
		return connectDecision(hits)
	}
	if inspected(hits) {
		return requestDecision(hits, r)
	}
	return connectDecision(hits)
}

// inspected reports whether one endpoint parses requests; then all of the
// connection is parsed, and endpoints that do not parse add nothing.
func inspected(hits []*endpoint) bool {
	for _, e := range hits {
		if e.Protocol.Inspects() {
			return true
		}
	}
	return false
}

func connectDecision(hits []*endpoint) Decision {
	inspect := inspected(hits)
	for _, e := range hits {
		if e.Clamped == "" && e.Protocol.Inspects() == inspect {
			return e.decision(Allow, ReasonAllowed, e.At)
		}
	}
	return hits[0].decision(Deny, ReasonCeiling, hits[0].At)
}

// decision makes the answer that an endpoint gives.
func (e *endpoint) decision(v Verdict, reason Reason, at Position) Decision {
	d := Decision{
		Verdict: v, Reason: reason, Rule: e.rule.Name, At: at, Why: why(reason), Endpoint: e.Endpoint,
		Enforced: e.Enforcement == EnforcementEnforce,
	}
	if v == Deny {
		return d
	}
	d.Treatment = e.treatment()
	d.AllowedIPs = e.AllowedIPs
	d.ExactHost = e.AllowedIPs != nil || e.Host != "" && !strings.Contains(e.Host, "*")
	return d
}

func (e *endpoint) treatment() Treatment {
	switch {
	case e.Protocol.Inspects():
		return TreatInspect
	case e.relays():
		return TreatRelay
	}
	return TreatTerminate
}

// Name says what DNS may answer for a name. It is for DNS and for nothing else:
// a name that may be resolved is not yet a host that may be reached.
func (m *Matcher) Name(host string) NameVerdict {
	v := m.nameOwn(host)
	if v == NameDenied {
		v = m.askable(host)
	}
	for _, w := range m.within {
		if w.nameOwn(host) == NameDenied {
			return NameDenied
		}
	}
	return v
}

func (m *Matcher) nameOwn(host string) NameVerdict {
	if host == "" || isAddress(host) {
		return NameDenied
	}
	var buffer [8][]*endpoint
	for _, group := range m.candidates(host, netip.Addr{}, buffer[:0]) {
		for _, e := range group {
			if e.Clamped == "" && e.rule.grants() {
				return NameAllowed
			}
		}
	}
	if m.public != nil && publicName(host) {
		return NameAllowed
	}
	return NameDenied
}

// askable says whether the operator may be asked about a name.
func (m *Matcher) askable(host string) NameVerdict {
	if m.doc.Nemoclaw == nil || m.doc.Nemoclaw.Approvals == nil {
		return NameDenied
	}
	a := m.doc.Nemoclaw.Approvals
	if a.PublicHosts && publicName(host) {
		return NameAskable
	}
	for _, pattern := range a.Hosts {
		if hostMatches(pattern, host) {
			return NameAskable
		}
	}
	return NameDenied
}

// why gives the sentence of a reason.
func why(r Reason) string {
	switch r {
	case ReasonAllowed:
		return "a rule allows it"
	case ReasonNoRuleForHost:
		return "no rule names this host"
	case ReasonPortNotAllowed:
		return "the host is named, but not on this port"
	case ReasonPortRefused:
		return "this port belongs to a cluster's control plane and is never reached"
	case ReasonBinaryNotAllowed:
		return "the host is named, but not for this program"
	case ReasonProtocol:
		return "the endpoint does not speak this protocol"
	case ReasonMethodNotAllowed:
		return "no rule of the endpoint allows this method"
	case ReasonPathNotAllowed:
		return "no rule of the endpoint allows this path"
	case ReasonQueryNotAllowed:
		return "no rule of the endpoint allows this query"
	case ReasonOperation:
		return "no rule of the endpoint allows this operation"
	case ReasonToolNotAllowed:
		return "no rule of the endpoint allows this tool"
	case ReasonMessage:
		return "no rule of the endpoint allows this message"
	case ReasonDeniedByRule:
		return "a deny rule matches"
	case ReasonMalformed:
		return "the request is malformed"
	case ReasonAddressRefused:
		return "this address is never reached"
	case ReasonAddressNotAllowed:
		return "the address is outside allowed_ips"
	}
	return "the operator's ceiling does not allow it"
}
