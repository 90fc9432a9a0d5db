package policy

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Case is one line of a policy's own tests: a request, and what must come of it.
type Case struct {
	Name    string
	At      Position
	Request *Request // nil for a case about a file
	Path    string   // of a case about a file
	Write   bool
	Expect  string // allow, audit or deny
	Reason  Reason // "" for any
}

// Cases are the tests of a policy.
type Cases struct {
	Policy string // file, relative to the tests; "" if not named
	List   []Case
}

// ParseCases reads a file of cases:
//
//	policy: policy.yaml
//	cases:
//	  - {name: reads, url: "https://api.example.com/repos", binary: /usr/bin/curl, expect: allow}
//	  - {path: /etc/passwd, write: true, expect: deny}
//
// The keys of a request are method (default GET), url, connect (host:port),
// udp, binary (one, or a list of holders), ancestors, websocket, graphql_type,
// graphql_name, graphql_fields, mcp_method, mcp_tool, rpc_method.
func ParseCases(name string, data []byte) (*Cases, error) {
	src := &source{name: name, data: data}
	root, fail := readYAML(src)
	if fail != nil {
		return nil, Errors{fail}
	}
	d := &decoder{src: src}
	out := &Cases{}
	d.fields(root, "the test file", map[string]func(*node){
		"policy": func(n *node) { out.Policy = d.str(n, "policy") },
		"cases": func(n *node) {
			for _, item := range d.list(n, "cases", maxRules) {
				out.List = append(out.List, d.testCase(item))
			}
		},
	})
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	return out, nil
}

func (d *decoder) testCase(n *node) Case {
	c := Case{At: n.at, Name: n.at.String()}
	q := Question{}
	text := func(to *string, what string) func(*node) {
		return func(n *node) { *to = d.str(n, what) }
	}
	d.fields(n, "a case", map[string]func(*node){
		"name":   text(&c.Name, "name"),
		"expect": func(n *node) { c.Expect = d.word(n, "expect", "allow", "audit", "deny") },
		"reason": func(n *node) { c.Reason = Reason(d.str(n, "reason")) },
		"path":   func(n *node) { c.Path = path.Clean(d.str(n, "path")) },
		"write":  func(n *node) { c.Write = d.boolean(n, "write") },
		"method": text(&q.Method, "method"), "url": text(&q.URL, "url"), "connect": text(&q.Connect, "connect"),
		"udp": func(n *node) { q.UDP = d.boolean(n, "udp") },
		"binary": func(n *node) {
			if n.kind == kindString {
				q.Binaries = []string{d.str(n, "binary")}
				return
			}
			q.Binaries = d.strings(n, "binary", 64)
		},
		"ancestors":      func(n *node) { q.Ancestors = d.strings(n, "ancestors", 64) },
		"websocket":      text(&q.WebSocket, "websocket"),
		"graphql_type":   text(&q.GraphQLType, "graphql_type"),
		"graphql_name":   text(&q.GraphQLName, "graphql_name"),
		"graphql_fields": func(n *node) { q.GraphQLFields = d.strings(n, "graphql_fields", 256) },
		"mcp_method":     text(&q.MCPMethod, "mcp_method"), "mcp_tool": text(&q.MCPTool, "mcp_tool"),
		"rpc_method": text(&q.RPCMethod, "rpc_method"),
	})
	if c.Expect == "" && n.kind == kindMap && !n.has("expect") {
		d.fail(n.at, "add expect: deny", "a case without expect")
	}
	if c.Path != "" {
		return c
	}
	r, err := q.Request()
	if err != nil {
		d.fail(n.at, "", "%s", err)
	}
	c.Request = r
	return c
}

// Run decides a case; got is nil if the expectation holds, else what came.
func (c *Case) Run(m *Matcher) (ok bool, got string) {
	if c.Request == nil {
		e := m.doc.ExplainPath(c.Path, "", c.Write)
		return e.Verdict == c.Expect, fmt.Sprintf("%s: %s (%s)", e.Verdict, e.Why, e.At)
	}
	e := m.Explain(c.Request)
	got = fmt.Sprintf("%s %s: %s (%s)", e.Verdict, e.Reason, e.Why, e.At)
	return e.Verdict == c.Expect && (c.Reason == "" || c.Reason == e.Reason), got
}

// Question is a request as people write it, by flags or in a test file.
type Question struct {
	Method, URL   string
	Connect       string // host:port: the connection alone
	UDP           bool
	Binaries      []string // every holder of the socket
	Ancestors     []string // of each holder, nearest first
	WebSocket     string   // upgrade, text or binary
	GraphQLType   string
	GraphQLName   string
	GraphQLFields []string
	MCPMethod     string
	MCPTool       string
	RPCMethod     string
}

// Request gives the request that is meant, or an error that says what is missing.
func (q *Question) Request() (*Request, error) {
	r := &Request{Stage: StageRequest, Method: strings.TrimSpace(q.Method), UDP: q.UDP}
	for _, b := range q.Binaries {
		c := Caller{Executable: Executable{Path: b}}
		for _, a := range q.Ancestors {
			c.Ancestors = append(c.Ancestors, Executable{Path: a})
		}
		r.Callers = append(r.Callers, c)
	}
	switch {
	case q.Connect != "" && q.URL != "":
		return nil, fmt.Errorf("url and connect are both given")
	case q.Connect != "":
		r.Stage, r.Method = StageConnect, ""
		return r, r.destination(q.Connect, 0)
	case q.URL == "":
		return nil, fmt.Errorf("neither url nor connect nor path is given")
	}
	if err := r.url(q.URL); err != nil {
		return nil, err
	}
	return r, q.content(r)
}

// content sets what the protocols carry.
func (q *Question) content(r *Request) error {
	post := false
	switch q.WebSocket {
	case "":
	case "upgrade":
		r.WebSocket = WebSocketUpgrade
	case "text":
		r.WebSocket = WebSocketText
	case "binary":
		r.WebSocket = WebSocketBinary
	default:
		return fmt.Errorf("websocket is upgrade, text or binary, not %q", printable(q.WebSocket))
	}
	if q.GraphQLType != "" || q.GraphQLName != "" || len(q.GraphQLFields) > 0 {
		r.GraphQL, post = []GraphQLOperation{{Type: q.GraphQLType, Name: q.GraphQLName, Fields: q.GraphQLFields}}, true
	}
	if q.MCPTool != "" {
		r.RPC, post = []RPCCall{{Method: "tools/call", Tool: q.MCPTool, Name: q.MCPTool}}, true
	} else if m := q.MCPMethod + q.RPCMethod; m != "" {
		r.RPC, post = []RPCCall{{Method: m}}, true
	}
	if r.Method == "" {
		r.Method = "GET"
		if post {
			r.Method = "POST"
		}
	}
	return nil
}

// url takes a URL apart by hand: the path must stay as it was written.
func (r *Request) url(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not a URL", printable(s))
	}
	port := uint16(443)
	switch u.Scheme {
	case "https", "wss":
	case "http", "ws":
		port = 80
	default:
		return fmt.Errorf("the URL %q has no scheme that is known", printable(s))
	}
	_, rest, _ := strings.Cut(s, "://")
	rest, _, _ = strings.Cut(rest, "#")
	slash := strings.IndexAny(rest, "/?")
	if slash < 0 {
		slash = len(rest)
	}
	r.Path, r.RawQuery, _ = strings.Cut(rest[slash:], "?")
	if r.Path == "" {
		r.Path = "/"
	}
	return r.destination(u.Host, port)
}

// destination reads host:port; without a default the port must be there.
func (r *Request) destination(s string, port uint16) error {
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") && (strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1) {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 || n > math.MaxUint16 {
			return fmt.Errorf("%q has no port that is one", printable(s))
		}
		host, port = s[:i], uint16(n)
	}
	if port == 0 {
		return fmt.Errorf("%q has no port: write host:port", printable(s))
	}
	canonical, ok := CanonicalHost(host)
	if !ok {
		return fmt.Errorf("%q is neither a name nor an address", printable(host))
	}
	r.Port = port
	if a, err := netip.ParseAddr(canonical); err == nil {
		r.Addr = a
		return nil
	}
	r.Host = canonical
	return nil
}
