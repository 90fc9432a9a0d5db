package policy

import "net/netip"

// Verdict is the answer to a request. The zero value denies.
type Verdict uint8

// The verdicts.
const (
	Deny  Verdict = iota
	Audit         // no rule allows it, but the endpoint only audits: forward and record
	Allow
)

// String gives "deny", "audit" or "allow".
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Audit:
		return "audit"
	}
	return "deny"
}

// Reason is why, one of a closed set, stable for programs.
type Reason string

// The reasons.
const (
	ReasonAllowed           Reason = "allowed"
	ReasonNoRuleForHost     Reason = "no_rule_for_host"
	ReasonPortNotAllowed    Reason = "port_not_allowed"
	ReasonPortRefused       Reason = "port_always_refused"
	ReasonBinaryNotAllowed  Reason = "binary_not_allowed"
	ReasonProtocol          Reason = "protocol_not_allowed"
	ReasonMethodNotAllowed  Reason = "method_not_allowed"
	ReasonPathNotAllowed    Reason = "path_not_allowed"
	ReasonQueryNotAllowed   Reason = "query_not_allowed"
	ReasonOperation         Reason = "operation_not_allowed"
	ReasonToolNotAllowed    Reason = "tool_not_allowed"
	ReasonMessage           Reason = "message_not_allowed"
	ReasonDeniedByRule      Reason = "denied_by_rule"
	ReasonMalformed         Reason = "malformed_request"
	ReasonAddressRefused    Reason = "address_always_refused"
	ReasonAddressNotAllowed Reason = "address_not_allowed"
	ReasonCeiling           Reason = "refused_by_ceiling"
)

// Treatment says what the proxy does with an allowed connection. The zero
// value is none: close it.
type Treatment uint8

// The treatments, and what they demand of the proxy.
const (
	TreatNone      Treatment = iota
	TreatInspect             // terminate TLS if there is TLS, parse HTTP, ask for every request
	TreatTerminate           // terminate TLS if there is TLS: the Host must match the name, the content is free
	TreatRelay               // splice untouched
)

// String gives "none", "inspect", "terminate" or "relay".
func (t Treatment) String() string {
	switch t {
	case TreatInspect:
		return "inspect"
	case TreatTerminate:
		return "terminate"
	case TreatRelay:
		return "relay"
	}
	return "none"
}

// Decision is the answer with its why. It refers to the matcher's memory; do
// not change what it points at.
type Decision struct {
	Verdict   Verdict
	Reason    Reason
	Rule      string    // name of the rule that allowed or refused; "" if none came near
	At        Position  // the policy line
	Why       string    // one constant sentence for people
	Treatment Treatment // of an allowed connection
	Enforced  bool      // the endpoint that decided enforces

	// Endpoint is the one that decided, for its options (limits, rewriting,
	// signing, body bounds); nil where none matched.
	Endpoint *Endpoint
	// ExactHost: private addresses (RFC 1918, 6598, 4193) may be reached, because
	// the host was written exactly or allowed_ips names ranges, in the document
	// and in every ceiling. See Permits, which is the whole check.
	ExactHost bool
	// AllowedIPs must contain the resolved address; nil: no list.
	AllowedIPs []netip.Prefix
	// WithinIPs is the same from the ceilings; nil entries are no list.
	WithinIPs [maxWithin][]netip.Prefix
}

// NameVerdict is what DNS may say of a name. The zero value denies.
type NameVerdict uint8

// The name verdicts.
const (
	NameDenied  NameVerdict = iota
	NameAskable             // no rule names it, but the operator may be asked
	NameAllowed             // some rule could allow it for some process
)
