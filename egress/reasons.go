package egress

import "github.com/nemoclaw/nemoclaw/policy"

// The reasons that policy does not know, because they are about the connection
// and not about the document.
const (
	ReasonUnknownProcess policy.Reason = "unknown_process"      // nobody, or several containers, hold the socket
	ReasonUnknownAddress policy.Reason = "unknown_address"      // one of our addresses, but never given out
	ReasonNameMismatch   policy.Reason = "name_mismatch"        // SNI or Host is not the name that was asked for
	ReasonNoServerName   policy.Reason = "server_name_missing"  // TLS without SNI to a name
	ReasonNotHTTP        policy.Reason = "not_http"             // an inspected connection that speaks something else
	ReasonNotResolved    policy.Reason = "name_not_resolved"    // allowed, but the name has no address
	ReasonUpstream       policy.Reason = "upstream_unreachable" // allowed, but the server does not answer
	ReasonNamesUsedUp    policy.Reason = "too_many_names"       // the table is full
	ReasonNoRecord       policy.Reason = "record_not_written"   // the audit log cannot be written
	ReasonInternal       policy.Reason = "internal"             // our own part failed
	ReasonBuiltin        policy.Reason = "builtin"              // policy.local
)
