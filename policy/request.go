package policy

import "net/netip"

// Stage says how much of the traffic is known.
type Stage uint8

// The stages of a connection.
const (
	// StageConnect is a TCP or UDP connection before any byte. Allow means that
	// some request on it may be allowed; Treatment says what to do with it.
	StageConnect Stage = iota
	// StageRequest is one request or message on a connection, fields set.
	StageRequest
)

// Request is one question to [Matcher.Decide]. What is unknown stays zero,
// which never widens the answer.
type Request struct {
	Stage Stage
	Host  string     // canonical: lower case, no trailing dot; "" for a literal destination
	Addr  netip.Addr // the literal destination where Host is ""; otherwise ignored
	Port  uint16
	UDP   bool
	// Callers are all processes that hold the socket. Every one must be allowed
	// by the rule; when none is known only rules with "binaries: any" match.
	Callers []Caller

	// For StageRequest.

	// Malformed is why the request could not be parsed; it is refused in audit
	// mode too.
	Malformed string
	Method    string    // as received
	Path      string    // escaped path as received, without the query
	RawQuery  string    // as received, without the "?"
	WebSocket WebSocket // upgrade request, or a message on an upgraded connection (Method, Path, RawQuery of the upgrade)
	Upgrade   bool      // the request asks for a protocol other than websocket

	GraphQL    []GraphQLOperation // every operation of the request body (or query string)
	RPC        []RPCCall          // every call of the JSON-RPC or MCP body
	MCPVersion string             // the MCP-Protocol-Version header, "" if absent
}

// WebSocket says what a request has to do with WebSocket.
type WebSocket uint8

// The values of WebSocket.
const (
	WebSocketNone    WebSocket = iota
	WebSocketUpgrade           // GET with Upgrade: websocket
	WebSocketText              // a text message from the agent
	WebSocketBinary            // a binary message from the agent
)

// Executable is a program as the kernel knows it: the path inside the
// container and, where it was hashed, the lower-case hex SHA-256.
type Executable struct {
	Path   string
	SHA256 string
}

// Caller is one process that holds the socket, with its ancestors up to the
// entrypoint, nearest first.
type Caller struct {
	Executable
	Ancestors []Executable
}

// GraphQLOperation is one operation of a GraphQL request. With PersistedID set
// the document was not sent, and the other fields are empty.
type GraphQLOperation struct {
	PersistedID string
	Type        string   // query, mutation, subscription
	Name        string   // "" for an anonymous operation
	Fields      []string // root fields, aliases resolved, fragments expanded
}

// RPCCall is one JSON-RPC request, notification or response.
type RPCCall struct {
	Method   string
	Tool     string // params.name of tools/call
	Name     string // params.name of any method
	Response bool   // a response to the server's own request; Method is empty
}
