package policy

import (
	"fmt"
	"sort"
	"strings"
)

// defaultMaxBody is what a GraphQL, MCP or JSON-RPC body may have, in bytes.
const defaultMaxBody = 64 << 10

// maxMaxBody bounds what a policy can make the proxy hold, in bytes.
const maxMaxBody = 64 << 20

// finishEndpoint checks what depends on several fields.
func (d *decoder) finishEndpoint(e *endpointDraft) {
	e.TLSSkip = e.tls == "skip"
	d.checkDestination(e)
	d.checkProtocol(e)
	d.checkCredentials(e)
	d.readOptions(e)
	d.readRules(e)
	d.checkRules(e)
}

func (d *decoder) checkDestination(e *endpointDraft) {
	_, port := e.set["port"]
	_, ports := e.set["ports"]
	_, host := e.set["host"]
	switch {
	case port && ports:
		d.fail(e.set["ports"], "keep one of them", "port and ports are both set")
	case !port && !ports:
		d.fail(e.At, "add port: 443", "an endpoint without a port")
	}
	if !host && len(e.AllowedIPs) == 0 {
		d.fail(e.At, "add host: name.example.com", "an endpoint without a host needs allowed_ips")
	}
}

// l7Fields are refused where nothing is parsed (tcp, udp).
var l7Fields = [...]string{"path", "tls", "access", "rules", "deny_rules", "allow_encoded_slash", "request_body_credential_rewrite",
	"websocket_credential_rewrite", "credential_signing", "persisted_queries", "graphql_persisted_queries",
	"graphql_max_body_bytes", "json_rpc", "mcp"}

func (d *decoder) checkProtocol(e *endpointDraft) {
	switch e.Protocol {
	case ProtocolTCP, ProtocolUDP:
		for _, f := range l7Fields {
			if at, ok := e.set[f]; ok {
				d.fail(at, "leave it away, or inspect with protocol: rest", "protocol: %s is not parsed, so %s cannot apply", e.Protocol, f)
			}
		}
		if e.Host == "" || isAddress(e.Host) {
			d.fail(e.At, "name a DNS host, or leave protocol away", "protocol: %s needs a DNS host", e.Protocol)
		}
	case ProtocolL4:
		d.checkL4(e)
	default:
		if e.TLSSkip {
			d.fail(e.set["tls"], "leave one of them away", "tls: skip relays untouched, so protocol: %s cannot be inspected", e.Protocol)
		}
	}
}

// checkL4 warns of fields that grant everything because nothing is inspected.
func (d *decoder) checkL4(e *endpointDraft) {
	for _, f := range []string{"rules", "access", "enforcement"} {
		if at, ok := e.set[f]; ok {
			d.warn(at, "no_protocol", "add protocol: rest", "%s without protocol is ignored: every request is allowed", f)
		}
	}
	if at, ok := e.set["path"]; ok {
		d.warn(at, "no_protocol", "add protocol: rest", "path without protocol is ignored")
	}
	if at, ok := e.set["deny_rules"]; ok {
		d.fail(at, "add protocol: rest", "deny_rules need a protocol")
	}
}

// optionProtocol says which protocol an option belongs to.
var optionProtocol = [...]struct {
	field    string
	protocol Protocol
}{
	{"persisted_queries", ProtocolGraphQL}, {"graphql_persisted_queries", ProtocolGraphQL}, {"graphql_max_body_bytes", ProtocolGraphQL},
	{"json_rpc", ProtocolJSONRPC}, {"mcp", ProtocolMCP},
	{"request_body_credential_rewrite", ProtocolREST}, {"websocket_credential_rewrite", ProtocolWebSocket},
}

func (d *decoder) checkCredentials(e *endpointDraft) {
	for _, o := range optionProtocol {
		if at, ok := e.set[o.field]; ok && e.Protocol != o.protocol && e.Protocol != ProtocolTCP && e.Protocol != ProtocolUDP {
			d.fail(at, fmt.Sprintf("use it with protocol: %s", o.protocol), "%s does not belong to protocol: %q", o.field, e.Protocol)
		}
	}
	if s := e.Signing; s != nil {
		if s.Mode == "" {
			d.fail(e.At, "add credential_signing: sigv4", "signing_service and signing_region need credential_signing")
		}
		if s.Service == "" {
			d.fail(e.At, "add signing_service: s3", "credential_signing needs signing_service")
		}
	}
	if e.CredentialProvider != "" && !e.Protocol.Inspects() && !e.AllowUninspectedCredentials {
		d.fail(e.set["credential_binding"], "add protocol: rest, or allow_uninspected_credentials: true",
			"a credentialed endpoint must be inspected")
	}
}

// readOptions reads the options that depend on the protocol.
func (d *decoder) readOptions(e *endpointDraft) {
	switch e.Protocol {
	case ProtocolMCP:
		e.MCP = d.mcp(e)
	case ProtocolGraphQL:
		d.persistedQueries(e)
	}
	switch e.Protocol {
	case ProtocolMCP, ProtocolGraphQL, ProtocolJSONRPC:
		e.MaxBodyBytes = defaultMaxBody
		if n := e.body[string(e.Protocol)]; n != nil {
			e.MaxBodyBytes = int(d.integer(n, "max_body_bytes", 1, maxMaxBody))
		}
	}
}

func (d *decoder) mcp(e *endpointDraft) *MCP {
	m := &MCP{StrictToolNames: true, Versions: []string{"2025-11-25"}}
	if e.mcp == nil {
		return m
	}
	d.fields(e.mcp, "mcp", map[string]func(*node){
		"strict_tool_names":           func(n *node) { m.StrictToolNames = d.boolean(n, "strict_tool_names") },
		"allow_all_known_mcp_methods": func(n *node) { m.AllowAllKnownMCPMethods = d.boolean(n, "allow_all_known_mcp_methods") },
		"max_body_bytes":              func(n *node) { e.body["mcp"] = n },
		"versions": func(n *node) {
			m.Versions = d.strings(n, "mcp.versions", 16)
			if n.kind == kindList && len(n.items) == 0 {
				d.fail(n.at, "name a version, or leave versions away", "mcp.versions is empty")
			}
		},
	})
	return m
}

func (d *decoder) persistedQueries(e *endpointDraft) {
	mode := "deny"
	if e.persisted != nil {
		mode = d.word(e.persisted, "persisted_queries", "deny", "allow_registered")
	}
	if e.registered == nil {
		if mode == "allow_registered" {
			d.fail(e.persisted.at, "add graphql_persisted_queries", "allow_registered without registered queries")
		}
		return
	}
	queries := d.registeredQueries(e.registered)
	if mode == "allow_registered" {
		e.PersistedQueries = queries
		return
	}
	d.warn(e.registered.at, "persisted_denied", "add persisted_queries: allow_registered", "registered queries are not used while persisted_queries is deny")
}

func (d *decoder) registeredQueries(n *node) map[string]PersistedQuery {
	out := map[string]PersistedQuery{}
	if n.kind != kindMap || len(n.entries) > maxRules {
		d.fail(n.at, "", "graphql_persisted_queries must be a map of at most %d queries", maxRules)
		return out
	}
	for _, e := range n.entries {
		q := PersistedQuery{}
		d.fields(e.value, "a registered query", map[string]func(*node){
			"operation_type": func(n *node) {
				q.OperationType = d.word(n, "operation_type", "query", "mutation", "subscription")
			},
			"operation_name": func(n *node) { q.OperationName = d.str(n, "operation_name") },
			"fields":         func(n *node) { q.Fields = d.strings(n, "fields", 1024) },
		})
		if q.OperationType == "" && e.value.kind == kindMap && !e.value.has("operation_type") {
			d.fail(e.at, "add operation_type: query", "a registered query without operation_type")
		}
		out[e.key] = q
	}
	return out
}

// readRules reads rules and deny_rules. Where there is no protocol they are
// checked but not kept: the format ignores them.
func (d *decoder) readRules(e *endpointDraft) {
	protocol := e.Protocol
	if !protocol.Inspects() {
		protocol = ProtocolREST
	}
	if e.rules != nil {
		for _, item := range d.ruleList(e.rules, "rules") {
			d.fields(item, "an entry of rules", map[string]func(*node){
				"allow": func(n *node) { e.Rules = append(e.Rules, d.rule(n, protocol, false)) },
			})
			if item.kind == kindMap && len(item.entries) == 0 {
				d.fail(item.at, "write - allow: {method: GET, path: /…}", "an empty entry")
			}
		}
	}
	if e.deny != nil {
		for _, item := range d.ruleList(e.deny, "deny_rules") {
			e.DenyRules = append(e.DenyRules, d.rule(item, protocol, true))
		}
	}
	if !e.Protocol.Inspects() {
		e.Rules, e.DenyRules, e.Access = nil, nil, AccessNone
	}
}

func (d *decoder) ruleList(n *node, what string) []*node {
	if n.kind == kindList && len(n.items) == 0 {
		d.fail(n.at, "leave it away, or list what is meant", "%s is empty", what)
	}
	return d.list(n, what, maxRules)
}

func (d *decoder) checkRules(e *endpointDraft) {
	if e.rules != nil && e.AccessAt.Line > 0 {
		d.fail(e.AccessAt, "keep one of them", "access and rules are both set")
	}
	if !e.Protocol.Inspects() {
		return
	}
	if e.AccessAt.Line > 0 && (e.Protocol == ProtocolMCP || e.Protocol == ProtocolJSONRPC) {
		d.fail(e.AccessAt, "write rules", "protocol: %s has no access presets", e.Protocol)
	}
	if e.rules == nil && e.AccessAt.Line == 0 && (e.MCP == nil || !e.MCP.AllowAllKnownMCPMethods) {
		d.fail(e.At, "add access: read-only, or rules", "protocol: %s without rules or access", e.Protocol)
	}
}

func (d *decoder) rule(n *node, protocol Protocol, deny bool) Rule {
	r := Rule{At: n.at}
	d.fields(n, fmt.Sprintf("a rule of protocol %s", protocol), d.ruleFields(&r, protocol))
	if n.kind != kindMap {
		return r
	}
	if (protocol == ProtocolREST || protocol == ProtocolWebSocket) && r.Path == "" {
		if deny {
			d.fail(n.at, `add path: "**" to deny every path`, "a deny without path never fires")
		} else {
			d.warn(n.at, "rule_without_path", `add path: "**" to allow every path`, "a rule without path matches nothing")
		}
	}
	if len(r.Tool) > 0 && r.Method != "" && r.Method != "tools/call" {
		d.fail(n.at, "leave method away, or write tools/call", "tool belongs to method tools/call, not %q", printable(r.Method))
	}
	return r
}

func (d *decoder) ruleFields(r *Rule, protocol Protocol) map[string]func(*node) {
	method := func(n *node) { r.Method = d.method(n, protocol) }
	switch protocol {
	case ProtocolGraphQL:
		return map[string]func(*node){
			"operation_type": func(n *node) {
				r.OperationType = d.word(n, "operation_type", "query", "mutation", "subscription", "*")
			},
			"operation_name": func(n *node) {
				r.OperationName = d.str(n, "operation_name")
				d.pattern(n, r.OperationName, '.')
			},
			"fields": func(n *node) { r.Fields = d.globs(n, "fields", '.') },
		}
	case ProtocolJSONRPC:
		return map[string]func(*node){"method": method}
	case ProtocolMCP:
		params := func(n *node) { r.ParamsName = d.matcher(n, "params.name") }
		return map[string]func(*node){
			"method":      method,
			"tool":        func(n *node) { r.Tool = d.matcher(n, "tool") },
			"params.name": params,
			"params":      func(n *node) { d.fields(n, "params", map[string]func(*node){"name": params}) },
		}
	}
	return map[string]func(*node){
		"method": method,
		"path": func(n *node) {
			r.Path = d.str(n, "path")
			d.pattern(n, canonicalPathPattern(r.Path), '/')
			if r.Path != "" && r.Path[0] != '/' && r.Path[0] != '*' {
				d.fail(n.at, "start it with /", "the path %q can never match", printable(r.Path))
			}
		},
		"query": func(n *node) { r.Query = d.query(n) },
	}
}

// method reads a method. HTTP methods are compared exactly, so one in lower
// case would never match.
func (d *decoder) method(n *node, protocol Protocol) string {
	s := d.str(n, "method")
	if s == "" || s == "*" {
		return s
	}
	if protocol == ProtocolMCP || protocol == ProtocolJSONRPC {
		d.pattern(n, s, '.')
		return s
	}
	if up := strings.ToUpper(s); up != s {
		d.fail(n.at, "write "+up, "methods are compared in upper case, %q never matches", printable(s))
	}
	if !isToken(s) {
		d.fail(n.at, `write one method, or "*"`, "%q is not a method", printable(s))
	}
	if protocol == ProtocolWebSocket && s != "GET" && s != methodText && s != methodBinary {
		d.fail(n.at, "use GET for the upgrade, "+methodText+" for messages", "a WebSocket rule has no method %q", printable(s))
	}
	return s
}

// query reads a map of keys to matchers.
func (d *decoder) query(n *node) []QueryMatch {
	if n.kind != kindMap || len(n.entries) > 64 {
		d.fail(n.at, "write query: {key: value}", "query must be a map of at most 64 keys")
		return nil
	}
	out := make([]QueryMatch, 0, len(n.entries))
	for _, e := range n.entries {
		out = append(out, QueryMatch{Key: e.key, Any: d.matcher(e.value, "query")})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// matcher reads a glob, or {any: [glob, …]}.
func (d *decoder) matcher(n *node, what string) []string {
	if n.kind == kindMap {
		var out []string
		d.fields(n, what, map[string]func(*node){"any": func(n *node) { out = d.globs(n, what, '.') }})
		if len(out) == 0 {
			d.fail(n.at, "write {any: [glob, …]}", "%s matches nothing", what)
		}
		return out
	}
	s := d.str(n, what)
	d.pattern(n, s, '.')
	return []string{s}
}

func (d *decoder) globs(n *node, what string, separator byte) []string {
	var out []string
	for _, item := range d.list(n, what, 256) {
		s := d.str(item, what)
		d.pattern(item, s, separator)
		out = append(out, s)
	}
	if n.kind == kindList && len(out) == 0 {
		d.fail(n.at, "leave it away, or list what is meant", "%s is empty", what)
	}
	return out
}
