package policy

import (
	"net/netip"
	"time"
)

// Document is one decoded policy. A nil section was absent from the file. It
// marshals to JSON and back without loss, so that a plan can carry it.
type Document struct {
	Version    int         `json:"version"`
	Name       string      `json:"name"` // file or origin, as given to Parse
	Preset     *PresetInfo `json:"preset,omitempty"`
	Filesystem *Filesystem `json:"filesystem,omitempty"`
	Landlock   *Landlock   `json:"landlock,omitempty"`
	Process    *Process    `json:"process,omitempty"`

	Network     []NetworkRule `json:"network,omitempty"` // in the order of the file, which does not count
	Middlewares []Middleware  `json:"middlewares,omitempty"`
	Nemoclaw    *Extensions   `json:"nemoclaw,omitempty"`

	// Within are the ceilings that Narrow has put over this document. A request
	// is allowed only if the document and every one of them allows it.
	Within []*Document `json:"within,omitempty"`

	// SHA256 is the hex digest of the bytes this was parsed from; empty for a
	// document made in memory. See Digest.
	SHA256 string `json:"sha256,omitempty"`
}

// PresetInfo is the head of a preset fragment.
type PresetInfo struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	At          Position `json:"at"`
}

// Filesystem is filesystem_policy. Use [Document.EffectiveFilesystem] to get
// the paths with the defaults of the format applied.
type Filesystem struct {
	IncludeWorkdir bool     `json:"include_workdir"`
	ReadOnly       []Path   `json:"read_only,omitempty"`
	ReadWrite      []Path   `json:"read_write,omitempty"`
	At             Position `json:"at"`
}

// Path is one absolute, cleaned path inside the container.
type Path struct {
	Path     string   `json:"path"`
	At       Position `json:"at"`
	Optional bool     `json:"optional,omitempty"` // a default of the format, not asked for by name: absence is not worth a word
}

// Compatibility is landlock.compatibility.
type Compatibility string

// The values of Compatibility. The empty value is BestEffort.
const (
	BestEffort      Compatibility = "best_effort"
	HardRequirement Compatibility = "hard_requirement"
)

// Landlock is the landlock section.
type Landlock struct {
	Compatibility Compatibility `json:"compatibility"`
	At            Position      `json:"at"`
}

// Process is the process section: names of the image's passwd and group files,
// or numbers. Empty: the image's user.
type Process struct {
	RunAsUser  string   `json:"run_as_user,omitempty"`
	RunAsGroup string   `json:"run_as_group,omitempty"`
	At         Position `json:"at"`
}

// NetworkRule is one entry of network_policies: these binaries may reach these
// endpoints.
type NetworkRule struct {
	Key       string     `json:"key"`
	Name      string     `json:"name"` // the key where the file gives none
	At        Position   `json:"at"`
	Endpoints []Endpoint `json:"endpoints"`
	Binaries  []Binary   `json:"binaries,omitempty"` // empty and not AnyBinary: the rule matches nothing
	AnyBinary bool       `json:"any_binary,omitempty"`
}

// Binary names the programs of a rule by absolute path or glob.
type Binary struct {
	Path   string   `json:"path"`
	SHA256 string   `json:"sha256,omitempty"` // lower-case hex; empty: any content
	At     Position `json:"at"`
}

// Protocol says how an endpoint is inspected.
type Protocol string

// The values of Protocol.
const (
	ProtocolL4        Protocol = ""
	ProtocolREST      Protocol = "rest"
	ProtocolWebSocket Protocol = "websocket"
	ProtocolGraphQL   Protocol = "graphql"
	ProtocolMCP       Protocol = "mcp"
	ProtocolJSONRPC   Protocol = "json-rpc"
	ProtocolTCP       Protocol = "tcp"
	ProtocolUDP       Protocol = "udp" // ours
)

// Inspects reports whether requests of this protocol are decided one by one.
func (p Protocol) Inspects() bool {
	switch p {
	case ProtocolREST, ProtocolWebSocket, ProtocolGraphQL, ProtocolMCP, ProtocolJSONRPC:
		return true
	}
	return false
}

// Enforcement says what happens to a request that the rules do not allow.
type Enforcement string

// The values of Enforcement. The empty value is Audit, as in the format.
const (
	EnforcementAudit   Enforcement = "audit"
	EnforcementEnforce Enforcement = "enforce"
)

// Access is a short word for a set of rules.
type Access string

// The values of Access.
const (
	AccessNone      Access = ""
	AccessReadOnly  Access = "read-only"
	AccessReadWrite Access = "read-write"
	AccessFull      Access = "full"
)

// Endpoint is one destination of a rule.
type Endpoint struct {
	At          Position       `json:"at"`
	Host        string         `json:"host,omitempty"` // canonical: lower case, no trailing dot; exact name, address or wildcard
	Ports       []uint16       `json:"ports"`
	Path        string         `json:"path,omitempty"` // selector; empty: every path
	Protocol    Protocol       `json:"protocol,omitempty"`
	TLSSkip     bool           `json:"tls_skip,omitempty"`
	Enforcement Enforcement    `json:"enforcement"`
	Access      Access         `json:"access,omitempty"`
	AccessAt    Position       `json:"access_at,omitzero"`
	Rules       []Rule         `json:"rules,omitempty"`
	DenyRules   []Rule         `json:"deny_rules,omitempty"`
	AllowedIPs  []netip.Prefix `json:"allowed_ips,omitempty"`

	AllowEncodedSlash            bool     `json:"allow_encoded_slash,omitempty"`
	RequestBodyCredentialRewrite bool     `json:"request_body_credential_rewrite,omitempty"`
	WebSocketCredentialRewrite   bool     `json:"websocket_credential_rewrite,omitempty"`
	AllowUninspectedCredentials  bool     `json:"allow_uninspected_credentials,omitempty"`
	Signing                      *Signing `json:"signing,omitempty"`
	CredentialProvider           string   `json:"credential_provider,omitempty"`

	PersistedQueries map[string]PersistedQuery `json:"persisted_queries,omitempty"` // nil: persisted_queries: deny
	MaxBodyBytes     int                       `json:"max_body_bytes,omitempty"`    // GraphQL, MCP, JSON-RPC: bytes of one request body
	MCP              *MCP                      `json:"mcp,omitempty"`               // set exactly when Protocol is mcp
	Limits           *Limits                   `json:"limits,omitempty"`

	// Clamped is set by Narrow: the endpoint grants nothing, for this reason.
	// Its inspection and its denies stay, so that taking a grant away can never
	// open what it had kept closed.
	Clamped string `json:"clamped,omitempty"`
}

// Rule is one entry of rules or deny_rules. Empty fields match everything.
type Rule struct {
	At            Position     `json:"at"`
	Method        string       `json:"method,omitempty"`
	Path          string       `json:"path,omitempty"`
	Query         []QueryMatch `json:"query,omitempty"` // sorted by key
	OperationType string       `json:"operation_type,omitempty"`
	OperationName string       `json:"operation_name,omitempty"`
	Fields        []string     `json:"fields,omitempty"`
	Tool          []string     `json:"tool,omitempty"`        // any of these globs
	ParamsName    []string     `json:"params_name,omitempty"` // any of these globs
}

// QueryMatch demands that a key's values match one of the globs.
type QueryMatch struct {
	Key string   `json:"key"`
	Any []string `json:"any"`
}

// Signing asks the proxy to sign requests.
type Signing struct {
	Mode    string   `json:"mode"` // sigv4, sigv4:body, sigv4:no_body
	Service string   `json:"service"`
	Region  string   `json:"region,omitempty"`
	At      Position `json:"at"`
}

// PersistedQuery says what a registered GraphQL query does.
type PersistedQuery struct {
	OperationType string   `json:"operation_type"`
	OperationName string   `json:"operation_name,omitempty"`
	Fields        []string `json:"fields,omitempty"`
}

// MCP are the options of an MCP endpoint, defaults applied.
type MCP struct {
	StrictToolNames         bool     `json:"strict_tool_names"`
	AllowAllKnownMCPMethods bool     `json:"allow_all_known_mcp_methods"`
	Versions                []string `json:"versions"`
}

// Middleware is one entry of network_middlewares.
type Middleware struct {
	Key        string         `json:"key"`
	Middleware string         `json:"middleware"`
	Order      int            `json:"order"`
	Config     map[string]any `json:"config,omitempty"`
	FailOpen   bool           `json:"fail_open,omitempty"`
	Include    []string       `json:"include"`
	Exclude    []string       `json:"exclude,omitempty"`
	At         Position       `json:"at"`
}

// Extensions is the nemoclaw section. A nil pointer or slice was not written;
// where "was it set" matters the item carries its position.
type Extensions struct {
	At           Position      `json:"at"`
	Capabilities []Named       `json:"capabilities,omitempty"` // CAP_… names
	Ingress      []Ingress     `json:"ingress,omitempty"`
	Limits       *Limits       `json:"limits,omitempty"`
	Approvals    *Approvals    `json:"approvals,omitempty"`
	Inference    *Inference    `json:"inference,omitempty"`
	GPU          *GPU          `json:"gpu,omitempty"`
	HostServices []HostService `json:"host_services,omitempty"` // operator only
	Credentials  []Named       `json:"credentials,omitempty"`   // operator only
	Workspace    *Workspace    `json:"workspace,omitempty"`
	PublicHosts  *PublicHosts  `json:"public_hosts,omitempty"` // for ceilings
	Ceiling      bool          `json:"ceiling,omitempty"`      // the document is a ceiling, no policy of its own
}

// Named is a word with the place it was written at.
type Named struct {
	Name string   `json:"name"`
	At   Position `json:"at"`
}

// Ingress lets connections in to a port of the container.
type Ingress struct {
	Port uint16   `json:"port"`
	From []string `json:"from"` // "any", addresses or prefixes
	At   Position `json:"at"`
}

// Limits bound what an agent or an endpoint may use. 0: no limit.
type Limits struct {
	RequestsPerMinute int64    `json:"requests_per_minute,omitempty"`
	BytesOut          int64    `json:"bytes_out,omitempty"` // bytes over the sandbox's life
	Connections       int64    `json:"connections,omitempty"`
	At                Position `json:"at"`
}

// Approvals says what the operator may be asked about.
type Approvals struct {
	PublicHosts bool          `json:"public_hosts,omitempty"` // ask: public_hosts
	Hosts       []string      `json:"hosts,omitempty"`        // ask: [globs]
	Hold        time.Duration `json:"hold,omitempty"`         // how long a request waits for the answer; 0: default
	MaxGrant    time.Duration `json:"max_grant,omitempty"`    // 0: default
	At          Position      `json:"at"`
}

// Inference is what the agent may ask of inference.local.
type Inference struct {
	Binaries     []Binary `json:"binaries,omitempty"` // absent in the file: AnyBinary
	AnyBinary    bool     `json:"any_binary,omitempty"`
	Routes       []Named  `json:"routes,omitempty"`
	MaxClass     string   `json:"max_class,omitempty"`
	TokensPerDay int64    `json:"tokens_per_day,omitempty"` // 0: no budget
	At           Position `json:"at"`
}

// GPU is what the agent wants of the host's GPUs.
type GPU struct {
	Count   int      `json:"count,omitempty"`
	Devices []string `json:"devices,omitempty"`
	Sidecar bool     `json:"sidecar"`
	At      Position `json:"at"`
}

// HostService is a name that leads to a port of the host.
type HostService struct {
	Name string   `json:"name"`
	Port uint16   `json:"port"`
	At   Position `json:"at"`
}

// Workspace says whether the work directory is written directly or in a
// transaction.
type Workspace struct {
	Transactional bool     `json:"transactional"`
	At            Position `json:"at"`
}

// PublicHosts is for ceilings: any exact name of a public host may be named by
// a policy below, on these ports, enforced.
type PublicHosts struct {
	Ports []uint16 `json:"ports"`
	At    Position `json:"at"`
}
