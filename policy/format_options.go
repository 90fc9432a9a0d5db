package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// endpointOptions writes what is not the default.
func (w *writer) endpointOptions(e *Endpoint) {
	if len(e.AllowedIPs) > 0 {
		var list []string
		for _, p := range e.AllowedIPs {
			list = append(list, p.String())
		}
		w.line(4, Position{}, "allowed_ips: %s", flowList(list))
	}
	w.flag(4, "allow_encoded_slash", e.AllowEncodedSlash)
	w.flag(4, "request_body_credential_rewrite", e.RequestBodyCredentialRewrite)
	w.flag(4, "websocket_credential_rewrite", e.WebSocketCredentialRewrite)
	w.flag(4, "allow_uninspected_credentials", e.AllowUninspectedCredentials)
	if s := e.Signing; s != nil {
		w.line(4, s.At, "credential_signing: %s", scalar(s.Mode))
		w.text(4, "signing_service", s.Service)
		w.text(4, "signing_region", s.Region)
	}
	if e.CredentialProvider != "" {
		w.line(4, Position{}, "credential_binding: {provider: %s}", flow(e.CredentialProvider))
	}
	w.bodies(e)
	w.limits(4, e.Limits)
}

func (w *writer) bodies(e *Endpoint) {
	switch e.Protocol {
	case ProtocolGraphQL:
		w.line(4, Position{}, "graphql_max_body_bytes: %d", e.MaxBodyBytes)
		if e.PersistedQueries != nil {
			w.text(4, "persisted_queries", "allow_registered")
			w.line(4, Position{}, "graphql_persisted_queries:")
		}
		for _, id := range sortedKeys(e.PersistedQueries) {
			q := e.PersistedQueries[id]
			w.line(5, Position{}, "%s: {%s}", scalar(id), ruleText(&Rule{OperationType: q.OperationType, OperationName: q.OperationName, Fields: q.Fields}))
		}
	case ProtocolJSONRPC:
		w.line(4, Position{}, "json_rpc: {max_body_bytes: %d}", e.MaxBodyBytes)
	case ProtocolMCP:
		w.line(4, Position{}, "mcp: {max_body_bytes: %d, strict_tool_names: %t, allow_all_known_mcp_methods: %t, versions: %s}",
			e.MaxBodyBytes, e.MCP.StrictToolNames, e.MCP.AllowAllKnownMCPMethods, quotedList(e.MCP.Versions))
	}
}

func quotedList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (w *writer) limits(depth int, l *Limits) {
	if l == nil {
		return
	}
	w.line(depth, l.At, "limits: {requests_per_minute: %d, bytes_out: %d, connections: %d}", l.RequestsPerMinute, l.BytesOut, l.Connections)
}

func (w *writer) middlewares(list []Middleware) {
	if len(list) > 0 {
		w.line(0, Position{}, "network_middlewares:")
	}
	for _, m := range list {
		w.line(1, m.At, "%s:", scalar(m.Key))
		w.text(2, "middleware", m.Middleware)
		w.line(2, Position{}, "order: %d", m.Order)
		if m.FailOpen {
			w.text(2, "on_error", "fail_open")
		}
		w.line(2, Position{}, "endpoints: {include: %s, exclude: %s}", flowList(m.Include), flowList(m.Exclude))
		if data, err := json.Marshal(m.Config); err == nil && m.Config != nil {
			w.line(2, Position{}, "config: %s", data) // JSON is YAML's flow style
		}
	}
}

func (w *writer) extensions(x *Extensions) {
	if x == nil {
		return
	}
	w.line(0, x.At, "nemoclaw:")
	start := w.b.Len()
	w.flag(1, "ceiling", x.Ceiling)
	w.names("capabilities", x.Capabilities)
	if len(x.Ingress) > 0 {
		w.line(1, Position{}, "ingress:")
	}
	for _, in := range x.Ingress {
		w.line(2, in.At, "- {port: %d, from: %s}", in.Port, flowList(in.From))
	}
	w.limits(1, x.Limits)
	w.approvals(x.Approvals)
	w.inference(x.Inference)
	if g := x.GPU; g != nil {
		w.line(1, g.At, "gpu: {count: %d, devices: %s, sidecar: %t}", g.Count, flowList(g.Devices), g.Sidecar)
	}
	if len(x.HostServices) > 0 {
		w.line(1, Position{}, "host_services:")
	}
	for _, s := range x.HostServices {
		w.line(2, s.At, "- {name: %s, port: %d}", flow(s.Name), s.Port)
	}
	w.names("credentials", x.Credentials)
	if s := x.Workspace; s != nil {
		mode := "direct"
		if s.Transactional {
			mode = "transactional"
		}
		w.line(1, s.At, "workspace: %s", mode)
	}
	if p := x.PublicHosts; p != nil {
		w.line(1, p.At, "public_hosts: {ports: [%s]}", strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Ports), " ", ", "), "[]"))
	}
	if w.b.Len() == start {
		w.line(1, Position{}, "capabilities: []")
	}
}

func (w *writer) names(key string, list []Named) {
	if len(list) > 0 {
		w.line(1, Position{}, "%s:", key)
	}
	for _, n := range list {
		w.line(2, n.At, "- %s", scalar(n.Name))
	}
}

func (w *writer) approvals(a *Approvals) {
	if a == nil {
		return
	}
	ask := "none"
	switch {
	case a.PublicHosts:
		ask = "public_hosts"
	case len(a.Hosts) > 0:
		ask = flowList(a.Hosts)
	}
	parts := []string{"ask: " + ask}
	if a.Hold > 0 {
		parts = append(parts, "hold: "+a.Hold.String())
	}
	if a.MaxGrant > 0 {
		parts = append(parts, "max_grant: "+a.MaxGrant.String())
	}
	w.line(1, a.At, "approvals: {%s}", strings.Join(parts, ", "))
}

func (w *writer) inference(in *Inference) {
	if in == nil {
		return
	}
	w.line(1, in.At, "inference:")
	w.binaries(2, in.Binaries, in.AnyBinary)
	if in.Routes != nil {
		names := make([]string, 0, len(in.Routes))
		for _, r := range in.Routes {
			names = append(names, r.Name)
		}
		w.line(2, Position{}, "routes: %s", flowList(names))
	}
	if slices.Contains(classes(), in.MaxClass) {
		w.text(2, "max_class", in.MaxClass)
	}
	if in.TokensPerDay > 0 {
		w.line(2, Position{}, "budget: {tokens_per_day: %d}", in.TokensPerDay)
	}
}
