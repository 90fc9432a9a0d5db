// Package audit is the record of what nemoclaw decided and did: one JSON line
// per event, each bound to the line before it by a SHA-256 chain, in one file
// per sandbox.
//
// Several processes append to one file: the runtime (lifecycle) and the
// supervisor (decisions), the latter without privilege, through a descriptor
// that it was given. Sink keeps their lines whole and in one chain. Write
// returns only after write(2) has taken the whole line, so that a caller who
// records first and sends afterwards can truthfully say "no decision without a
// record".
//
// The chain shows that a record was changed, removed from the middle, inserted
// or reordered. It does not show that the last records were cut off, nor can it
// stop a process that holds a writable descriptor from computing a whole new
// chain: ship the log elsewhere if that matters.
//
// Text that comes from an agent, an image or a server is stripped of control,
// escape and bidirectional characters and bounded in length before it enters a
// record (see Clean); readers may print it on a terminal.
package audit

import "time"

// Kind says what an Event is about. The set is closed: Write refuses others.
type Kind string

// The kinds of Event.
const (
	KindDNS        Kind = "dns"        // a name was asked for
	KindConnect    Kind = "connect"    // a connection, before any byte of it left
	KindRequest    Kind = "request"    // one HTTP request on a connection
	KindIngress    Kind = "ingress"    // a connection from outside to the agent
	KindClose      Kind = "close"      // a connection ended; BytesOut and BytesIn are set
	KindCreate     Kind = "create"     // the container was made, under the plan named by Policy
	KindStart      Kind = "start"      // the agent was released
	KindExec       Kind = "exec"       // a further process was started in the container
	KindDelete     Kind = "delete"     // the container is gone
	KindSupervisor Kind = "supervisor" // the supervisor or broker started, stopped, was restarted
	KindFence      Kind = "fence"      // the network fence was put up, changed or taken down
	KindLandlock   Kind = "landlock"   // a rule was dropped or weakened after the plan was made
	KindPolicy     Kind = "policy"     // the policy was replaced while running
	KindGrant      Kind = "grant"      // an approval was asked for, given, refused or has expired
	KindTorn       Kind = "torn"       // written by Sink: the bytes before this line are a record cut short
)

// Valid reports whether k is one of the constants above.
func (k Kind) Valid() bool {
	switch k {
	case KindDNS, KindConnect, KindRequest, KindIngress, KindClose, KindCreate, KindStart,
		KindExec, KindDelete, KindSupervisor, KindFence, KindLandlock, KindPolicy, KindGrant, KindTorn:
		return true
	}
	return false
}

// Event is one record. Zero fields are left out of the JSON, except Time, Kind
// and the three of the chain. The caller fills what it knows; Sink.Write sets
// Time (when zero), Sequence, Prev and Hash, and cleans every text field.
type Event struct {
	Time    time.Time `json:"time"` // UTC, nanoseconds
	Kind    Kind      `json:"kind"`
	Sandbox string    `json:"sandbox,omitempty"` // the container's id

	// The decision: what came out, and where policy says so.
	Verdict    string `json:"verdict,omitempty"`    // allow, audit, deny, or ok and error for lifecycle events
	Reason     string `json:"reason,omitempty"`     // one of policy's closed set of reasons
	Rule       string `json:"rule,omitempty"`       // the rule's name
	At         string `json:"at,omitempty"`         // "file:line" of the rule
	Policy     string `json:"policy,omitempty"`     // digest of the policy in force
	Generation uint64 `json:"generation,omitempty"` // counts the policies that were in force before

	// What it was about.
	Host   string `json:"host,omitempty"` // canonical name, or empty for a literal address
	Addr   string `json:"addr,omitempty"` // the address that was, or would have been, dialled
	Port   int    `json:"port,omitempty"`
	Proto  string `json:"proto,omitempty"` // tcp, udp, dns, http/1.1, ...
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`   // escaped, without the query
	Status int    `json:"status,omitempty"` // HTTP status that the agent got

	// Who did it.
	Binary    string `json:"binary,omitempty"` // executable's path in the container
	PID       int    `json:"pid,omitempty"`    // on the host
	RequestID string `json:"request_id,omitempty"`

	BytesOut int64 `json:"bytes_out,omitempty"` // agent to world
	BytesIn  int64 `json:"bytes_in,omitempty"`  // world to agent

	// What the kernel really enforces: lifecycle events only.
	ABI    int      `json:"landlock_abi,omitempty"` // 0: no Landlock
	Weaker []string `json:"weaker,omitempty"`       // everything in which the plan is weaker than the policy

	Message string `json:"message,omitempty"` // one sentence for a person

	Sequence uint64 `json:"seq"`            // 1 for the first record of a file
	Prev     string `json:"prev"`           // Hash of the record before, 64 zeros for the first
	Hash     string `json:"hash,omitempty"` // SHA-256 of this line up to the comma before "hash"
}
