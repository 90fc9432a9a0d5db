package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Counterexample is something that one document allows and another refuses.
type Counterexample struct {
	Request *Request   `json:"request,omitempty"` // nil for what is no request
	Addr    netip.Addr `json:"addr,omitzero"`     // the address that the name resolves to, where that decides
	Path    string     `json:"path,omitempty"`    // of a file
	Write   bool       `json:"write,omitempty"`
	What    string     `json:"what"` // one line for people
	At      string     `json:"at"`   // the line that allows it
}

// Prove says whether everything that a allows is allowed by b: requests by all
// protocols, addresses, paths, and the nemoclaw section. It is a proof, not a
// sample: every pattern of both is turned into an automaton, and one request is
// decided for each way in which they can match together. nil means proven. An
// endpoint that only audits allows every well-formed request. err is set where
// the documents do not compile or are too complex to say anything.
func Prove(a, b *Document) (*Counterexample, error) {
	ma, err := Compile(a)
	if err != nil {
		return nil, err
	}
	mb, err := Compile(b)
	if err != nil {
		return nil, err
	}
	if c := proveFiles(a, b); c != nil {
		return c, nil
	}
	if c := proveExtensions(a, b); c != nil {
		return c, nil
	}
	s, err := newSpace(ma, mb)
	if err != nil {
		return nil, err
	}
	var found *Counterexample
	err = s.each(ma, func(r *Request) bool {
		found = compareDecisions(ma, mb, r, s)
		return found == nil
	})
	return found, err
}

// compareDecisions decides one request on both sides.
func compareDecisions(ma, mb *Matcher, r *Request, s *space) *Counterexample {
	da, db := ma.Decide(r), mb.Decide(r)
	if da.Verdict == Deny {
		return nil
	}
	c := &Counterexample{Request: r, What: r.Text(), At: da.At.String()}
	if db.Verdict == Deny {
		return c
	}
	if r.Stage != StageConnect {
		return nil
	}
	if da.Treatment > db.Treatment {
		c.What += fmt.Sprintf(", not inspected (%s, where the other does %s)", da.Treatment, db.Treatment)
		return c
	}
	for _, addr := range s.addresses {
		if da.Permits(addr) && !db.Permits(addr) {
			c.Addr = addr
			c.What += ", resolved to " + addr.String()
			return c
		}
	}
	return nil
}

// each visits requests that stand for all that m may allow: what a connection
// refuses needs no requests.
func (s *space) each(m *Matcher, visit func(*Request) bool) error {
	for _, host := range s.hosts {
		if more, err := s.eachPort(m, host, netip.Addr{}, visit); !more || err != nil {
			return err
		}
	}
	for _, addr := range s.addresses {
		if more, err := s.eachPort(m, "", addr, visit); !more || err != nil {
			return err
		}
	}
	return nil
}

func (s *space) eachPort(m *Matcher, host string, addr netip.Addr, visit func(*Request) bool) (bool, error) {
	for _, port := range s.ports {
		relevant := s.relevant(host, addr, port)
		if len(relevant) == 0 && m.public == nil {
			continue
		}
		callers, err := s.callers(relevant)
		if err != nil {
			return false, err
		}
		content := &content{relevant: relevant}
		for _, c := range callers {
			for _, udp := range []bool{false, true} {
				r := Request{Stage: StageConnect, Host: host, Addr: addr, Port: port, UDP: udp, Callers: c}
				d := m.Decide(&r)
				if d.Verdict == Deny {
					continue
				}
				if !visit(&r) {
					return false, nil
				}
				if more, err := content.each(r, visit); !more || err != nil {
					return false, err
				}
			}
		}
	}
	return true, nil
}

// content makes the requests of one destination, its patterns compiled once.
type content struct {
	relevant []*endpoint
	made     bool
	err      error
	requests []Request
}

func (c *content) each(base Request, visit func(*Request) bool) (bool, error) {
	if !c.made {
		c.made = true
		c.err = c.make()
	}
	for i := range c.requests {
		r := c.requests[i]
		r.Stage, r.Host, r.Addr, r.Port, r.UDP, r.Callers = StageRequest, base.Host, base.Addr, base.Port, base.UDP, base.Callers
		if !visit(&r) {
			return false, nil
		}
	}
	return c.err == nil, c.err
}

// make lists the requests: for each path, those of every protocol that an
// endpoint here speaks.
func (c *content) make() error {
	list, err := paths(c.relevant)
	if err != nil {
		return err
	}
	rest, err := c.http()
	if err != nil {
		return err
	}
	for _, p := range []Protocol{ProtocolGraphQL, ProtocolMCP} {
		more, err := c.bodies(p)
		if err != nil {
			return err
		}
		rest = append(rest, more...)
	}
	for _, path := range list {
		for _, r := range rest {
			r.Path = path
			c.requests = append(c.requests, r)
		}
	}
	if len(c.requests) > 2_000_000 {
		return errTooComplex
	}
	return nil
}

func (c *content) speaks(p ...Protocol) bool {
	return slices.ContainsFunc(c.relevant, func(e *endpoint) bool { return slices.Contains(p, e.Protocol) })
}

// http lists methods, queries and WebSocket messages.
func (c *content) http() ([]Request, error) {
	methods := []string{"GET", "HEAD", "POST", "XOTHER"}
	for _, e := range c.relevant {
		for _, list := range [][]ruleMatch{e.allows, e.denies} {
			for _, r := range list {
				if isToken(r.method) && r.method != "*" {
					methods = append(methods, r.method, strings.ToLower(r.method))
				}
			}
		}
	}
	slices.Sort(methods)
	queries, err := queries(c.relevant)
	if err != nil {
		return nil, err
	}
	var out []Request
	for _, q := range queries {
		for _, m := range slices.Compact(methods) {
			out = append(out, Request{Method: m, RawQuery: q})
			out = append(out, Request{Method: m, RawQuery: q, Upgrade: true})
		}
		for _, w := range []WebSocket{WebSocketUpgrade, WebSocketText, WebSocketBinary} {
			out = append(out, Request{Method: "GET", RawQuery: q, WebSocket: w})
		}
	}
	return out, nil
}

// bodies lists GraphQL operations, or calls of MCP and JSON-RPC.
func (c *content) bodies(p Protocol) ([]Request, error) {
	if p == ProtocolGraphQL {
		if !c.speaks(ProtocolGraphQL) {
			return nil, nil
		}
		return c.operations()
	}
	if !c.speaks(ProtocolMCP, ProtocolJSONRPC) {
		return nil, nil
	}
	return c.calls()
}

func (c *content) operations() ([]Request, error) {
	var names, fields []*glob
	ids := []string{"unregistered"}
	for _, e := range c.relevant {
		ids = append(ids, sortedKeys(e.PersistedQueries)...)
		for _, list := range [][]ruleMatch{e.allows, e.denies} {
			for _, r := range list {
				if r.operationName != nil {
					names = append(names, r.operationName)
				}
				fields = append(fields, r.fields...)
			}
		}
	}
	nameWords, err := words(names)
	if err != nil {
		return nil, err
	}
	fieldWords, err := words(fields)
	if err != nil {
		return nil, err
	}
	var out []Request
	add := func(o GraphQLOperation) {
		out = append(out, Request{Method: "POST", GraphQL: []GraphQLOperation{o}}, Request{Method: "GET", GraphQL: []GraphQLOperation{o}})
	}
	for _, id := range ids {
		add(GraphQLOperation{PersistedID: id})
	}
	for _, kind := range []string{"query", "mutation", "subscription"} {
		for _, name := range append(nameWords, "") {
			for _, set := range subsets(fieldWords) {
				add(GraphQLOperation{Type: kind, Name: name, Fields: set})
			}
		}
	}
	return out, nil
}

func (c *content) calls() ([]Request, error) {
	var methods, tools, params []*glob
	versions := []string{"", "0000-00-00"}
	for _, e := range c.relevant {
		if e.MCP != nil {
			versions = append(versions, e.MCP.Versions...)
		}
		for _, list := range [][]ruleMatch{e.allows, e.denies} {
			for _, r := range list {
				if r.rpcMethod != nil {
					methods = append(methods, r.rpcMethod)
				}
				tools = append(tools, r.tool...)
				params = append(params, r.params...)
			}
		}
	}
	methodWords, err := words(methods)
	if err != nil {
		return nil, err
	}
	nameWords, err := words(append(tools, params...))
	if err != nil {
		return nil, err
	}
	nameWords = append(nameWords, "tool", "no/tool")
	methodWords = append(methodWords, "ping", "tools/call", "vendor/other")
	slices.Sort(versions)
	var out []Request
	for _, v := range slices.Compact(versions) {
		out = append(out, Request{Method: "POST", MCPVersion: v, RPC: []RPCCall{{Response: true}}})
		for _, m := range methodWords {
			for _, n := range nameWords {
				call := RPCCall{Method: m, Name: n}
				if m == "tools/call" {
					call.Tool = n
				}
				out = append(out, Request{Method: "POST", MCPVersion: v, RPC: []RPCCall{call}})
			}
		}
	}
	return out, nil
}

// Text gives a request in one line.
func (r *Request) Text() string {
	where := fmt.Sprintf("%s:%d", destination(r), r.Port)
	var what string
	switch {
	case r.Stage == StageConnect && r.UDP:
		what = "UDP " + where
	case r.Stage == StageConnect:
		what = "CONNECT " + where
	default:
		what = r.Method + " " + where + r.Path
		if r.RawQuery != "" {
			what += "?" + r.RawQuery
		}
	}
	switch {
	case r.WebSocket == WebSocketUpgrade:
		what += " (WebSocket upgrade)"
	case r.WebSocket == WebSocketText:
		what += " (WebSocket text)"
	case r.WebSocket == WebSocketBinary:
		what += " (WebSocket binary)"
	case r.Upgrade:
		what += " (upgrade)"
	}
	for _, o := range r.GraphQL {
		what += fmt.Sprintf(" {%s %s %v}", o.Type+o.PersistedID, o.Name, o.Fields)
	}
	for _, c := range r.RPC {
		what += fmt.Sprintf(" {%s %s}", c.Method, c.Name)
	}
	if len(r.Callers) > 0 {
		what += " by " + programs(r)
	}
	return what
}
