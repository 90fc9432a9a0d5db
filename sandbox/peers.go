package sandbox

// FrameKind says what a Frame is about.
type FrameKind string

// What a broker asks of its supervisor, and what a supervisor asks of its
// broker. Both ends refuse every other kind.
const (
	FrameBoot   FrameKind = "boot"   // to the supervisor, once: Boot, answered by Booted
	FrameAttach FrameKind = "attach" // to the supervisor: Attach and its sockets, without the netns
	FrameAdd    FrameKind = "add"    // to the supervisor: Container and its audit log
	FrameStart  FrameKind = "start"  // to the supervisor: DialHere; before it nothing is dialled
	FrameRemove FrameKind = "remove" // to the supervisor: ContainerID
	FrameWho    FrameKind = "who"    // to the broker: Who, answered by Holders
	FrameSocket FrameKind = "socket" // to the broker: Socket, answered by one descriptor
)

// Frame is one message between a broker and its supervisor, in either
// direction, on their socketpair. Requests of both directions share it: a reply
// repeats the ID of its request, and the answers may come in any order.
type Frame struct {
	ID    uint64    `json:"id"`
	Reply bool      `json:"reply,omitempty"`
	Kind  FrameKind `json:"kind"`
	// Error is a reply's; empty when the request was carried out.
	Error string `json:"error,omitempty"`

	Boot        *Boot      `json:"boot,omitempty"`
	Booted      *Booted    `json:"booted,omitempty"`
	Attach      *Attach    `json:"attach,omitempty"`
	Container   *Container `json:"container,omitempty"`
	ContainerID string     `json:"container_id,omitempty"`
	DialHere    bool       `json:"dial_here,omitempty"`
	Who         *Who       `json:"who,omitempty"`
	Holders     []Holder   `json:"holders,omitempty"`
	Socket      Socket     `json:"socket,omitempty"`
}

// Boot is a supervisor's configuration. With it come a memfd of the authority's
// key and certificate, a memfd of the names that have an address (both empty on
// the first start, both written by the supervisor), and any number of files of
// root certificates for upstream servers (PEM).
type Boot struct {
	// Seccomp is the program that the supervisor installs on itself.
	Seccomp []byte `json:"seccomp"`
	// DNS has the resolvers filled in: the supervisor reads no file.
	DNS DNS `json:"dns"`
	// Restarts counts the supervisors before this one.
	Restarts int `json:"restarts"`
}

// Booted answers Boot.
type Booted struct {
	CACert []byte `json:"ca_cert"`
}

// Who asks which processes hold a socket of the namespace.
type Who struct {
	Inode uint64 `json:"inode"`
	// Hash asks for the SHA-256 of the executables too.
	Hash bool `json:"hash,omitempty"`
}

// Holder is one process of a container that holds the socket asked for.
type Holder struct {
	Container string `json:"container"`
	PID       int    `json:"pid"` // in the host's pid namespace
	Program
	// Ancestors are the programs above it up to the container's entrypoint,
	// nearest first.
	Ancestors []Program `json:"ancestors,omitempty"`
}

// Program is an executable as the kernel names it, in its container's root.
type Program struct {
	Exe    string `json:"exe"`
	Dev    uint64 `json:"dev"`
	Inode  uint64 `json:"inode"`
	SHA256 string `json:"sha256,omitempty"` // hex, where Who.Hash asked for it
}

// Socket names a kind of marked socket that a broker opens in the namespace.
type Socket string

// The sockets that a broker opens; unconnected and non-blocking.
const (
	SocketStream4   Socket = "tcp4"
	SocketStream6   Socket = "tcp6"
	SocketDatagram4 Socket = "udp4"
	SocketDatagram6 Socket = "udp6"
)
