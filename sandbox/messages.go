package sandbox

import (
	"net/netip"

	"github.com/nemoclaw/nemoclaw/policy"
)

// Start is what the runtime tells a new broker, on fd 3, before the container
// exists. With it comes one descriptor: the slot's directory (O_PATH).
type Start struct {
	// SlotDir is the slot's directory: control.sock is made in it.
	SlotDir string `json:"slot_dir"`
	// Supervisor is the path of nemoclaw-supervisor.
	Supervisor string `json:"supervisor"`
	// UID is the supervisor's user and group; its own, never a container's.
	UID uint32 `json:"uid"`
	// SupervisorSeccomp and BrokerSeccomp are programs (struct sock_filter,
	// native order) that each installs on itself. Empty: the start is refused.
	SupervisorSeccomp []byte `json:"supervisor_seccomp"`
	BrokerSeccomp     []byte `json:"broker_seccomp"`
	// Mark is the SO_MARK of sockets that pass the fence. Never 0.
	Mark uint32 `json:"mark"`
	// DNS and UpstreamCAFile come from the host's configuration.
	DNS            DNS    `json:"dns"`
	UpstreamCAFile string `json:"upstream_ca_file,omitempty"`
}

// DNS says how names are answered and resolved.
type DNS struct {
	// Servers are the resolvers, address or address:port, that real addresses
	// are asked of after a verdict. Empty: those of the host's resolv.conf.
	Servers []string `json:"servers,omitempty"`
	// Pool is the block that sandbox-local answers are taken from.
	Pool netip.Prefix `json:"pool"`
}

// Started answers Start. A non-empty Error means that nothing was left running.
type Started struct {
	Error string `json:"error,omitempty"`
	// CACert is the certificate of the sandbox's own authority, PEM.
	CACert        []byte `json:"ca_cert"`
	BrokerPID     int    `json:"broker_pid"`
	SupervisorPID int    `json:"supervisor_pid"`
}

// Verb is what a Request asks of a broker.
type Verb string

// The verbs of the control socket; a broker refuses every other.
const (
	// VerbCA asks for the authority's certificate again.
	VerbCA Verb = "ca"
	// VerbAttach hands over the sockets of the namespace, once per slot.
	VerbAttach Verb = "attach"
	// VerbAdd adds a container, with the descriptor of its audit log.
	VerbAdd Verb = "add"
	// VerbStart says that a container is about to be released, and where the
	// namespace's upstream connections are made from (Request.DialHere): only
	// now is it known whether the engine gave it an interface. Before the first
	// VerbStart of a slot nothing is dialled.
	VerbStart Verb = "start"
	// VerbRemove removes a container; the last one out ends both processes.
	// Then the reply comes when the supervisor and the socket are gone, and the
	// broker is gone when the connection ends; Slot.EndProcesses does the rest.
	VerbRemove Verb = "remove"
	// VerbStop ends both processes whatever is left: for undo.
	VerbStop Verb = "stop"
	// VerbStatus asks who is there.
	VerbStatus Verb = "status"
)

// Request is one question on a control socket. Which fields and descriptors
// belong to it depends on Verb.
type Request struct {
	Verb Verb `json:"verb"`
	// Attach goes with VerbAttach; descriptors in the order of Attach.Sockets.
	Attach *Attach `json:"attach,omitempty"`
	// Container goes with VerbAdd; one descriptor: the audit log, O_APPEND|O_RDWR.
	Container *Container `json:"container,omitempty"`
	// ID goes with VerbStart and VerbRemove.
	ID string `json:"id,omitempty"`
	// DialHere goes with VerbStart: upstream connections are made from the
	// container's namespace, with marked sockets, because it has a network of
	// its own. False (--network none): they are made from the host's.
	DialHere bool `json:"dial_here,omitempty"`
}

// SocketKind names one descriptor of an Attach.
type SocketKind string

// The sockets of a network namespace, all opened inside it. Those with a 6 may
// be missing where the namespace has no IPv6; the others never.
const (
	SocketTCP4    SocketKind = "tcp4"     // listener, 127.0.0.1
	SocketTCP6    SocketKind = "tcp6"     // listener, [::1]
	SocketDNSUDP4 SocketKind = "dns-udp4" // bound datagram socket
	SocketDNSUDP6 SocketKind = "dns-udp6"
	SocketDNSTCP4 SocketKind = "dns-tcp4" // listener
	SocketDNSTCP6 SocketKind = "dns-tcp6"
	SocketDiag    SocketKind = "sock-diag" // NETLINK_SOCK_DIAG
	// SocketIngress tells of connections from outside (nfnetlink_log); it may
	// be missing where the kernel has none.
	SocketIngress SocketKind = "ingress-log"
	SocketNetns   SocketKind = "netns" // the namespace itself; the broker keeps it
)

// Attach describes the sockets that come with VerbAttach.
type Attach struct {
	Cookie  uint64       `json:"cookie"`
	Sockets []SocketKind `json:"sockets"`
}

// Container is one container of a namespace, as the supervisor needs it.
type Container struct {
	ID string `json:"id"`
	// Policy is the document in force: what was chosen, narrowed by the ceiling.
	// PolicyDigest names it in records, sha256:HEX.
	Policy       *policy.Document `json:"policy"`
	PolicyDigest string           `json:"policy_digest"`
	// Cgroups are directories whose cgroup.procs, and those below, list the
	// container's processes.
	Cgroups []string `json:"cgroups"`
	// InitPID is the container's first process, in the host's pid namespace.
	InitPID int `json:"init_pid"`
}

// Reply answers a Request.
type Reply struct {
	// Error is empty when the request was carried out.
	Error  string  `json:"error,omitempty"`
	CACert []byte  `json:"ca_cert,omitempty"`
	Left   int     `json:"left"` // containers after VerbRemove
	Status *Status `json:"status,omitempty"`
}

// Status is what a broker knows of its slot.
type Status struct {
	BrokerPID     int      `json:"broker_pid"`
	SupervisorPID int      `json:"supervisor_pid"` // 0: down
	Restarts      int      `json:"restarts"`
	Attached      bool     `json:"attached"`
	Cookie        uint64   `json:"cookie"`
	Containers    []string `json:"containers"`
}
