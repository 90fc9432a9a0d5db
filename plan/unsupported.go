package plan

import (
	"fmt"
	"slices"

	"github.com/nemoclaw/nemoclaw/policy"
)

// refuseUnsupported refuses by name what the policy asks for and no room
// enforces yet. Ignoring it would be a silent weakening.
func refuseUnsupported(doc *policy.Document) Refusals {
	var out Refusals
	add := func(at policy.Position, what string) {
		out = append(out, &Refusal{
			What: what, At: at.String(), Why: "this version does not enforce it yet",
			Fix: "take it out of the policy, or use a version that does",
		})
	}
	for _, m := range doc.Middlewares {
		add(m.At, "network_middlewares."+m.Key)
	}
	for _, r := range doc.Network {
		for i := range r.Endpoints {
			for _, what := range unsupportedIn(&r.Endpoints[i]) {
				add(r.Endpoints[i].At, fmt.Sprintf("network_policies.%s: %s", r.Key, what))
			}
		}
	}
	if n := doc.Nemoclaw; n != nil {
		for _, item := range unsupportedExtensions(n) {
			add(item.at, "nemoclaw."+item.name)
		}
	}
	return out
}

// unsupportedIn names the fields of an endpoint that the proxy cannot honour.
func unsupportedIn(e *policy.Endpoint) []string {
	var out []string
	switch e.Protocol {
	case policy.ProtocolL4, policy.ProtocolREST, policy.ProtocolWebSocket, policy.ProtocolTCP:
	default:
		out = append(out, "protocol: "+string(e.Protocol))
	}
	for what, set := range map[string]bool{
		"credential_signing":                  e.Signing != nil,
		"credential_binding":                  e.CredentialProvider != "",
		"request_body_credential_rewrite":     e.RequestBodyCredentialRewrite,
		"websocket_credential_rewrite":        e.WebSocketCredentialRewrite,
		"limits":                              e.Limits != nil,
		"persisted_queries: allow_registered": e.PersistedQueries != nil,
	} {
		if set {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return out
}

type extension struct {
	name string
	at   policy.Position
}

// unsupportedExtensions names the parts of the nemoclaw section that later work enforces.
func unsupportedExtensions(n *policy.Extensions) []extension {
	var out []extension
	if n.Limits != nil {
		out = append(out, extension{"limits", n.Limits.At})
	}
	if n.Approvals != nil && (n.Approvals.PublicHosts || len(n.Approvals.Hosts) > 0) {
		out = append(out, extension{"approvals.ask", n.Approvals.At})
	}
	if n.Inference != nil && len(n.Inference.Routes) > 0 {
		out = append(out, extension{"inference.routes", n.Inference.At})
	}
	if n.GPU != nil && (n.GPU.Count > 0 || len(n.GPU.Devices) > 0) {
		out = append(out, extension{"gpu", n.GPU.At})
	}
	for _, h := range n.HostServices {
		out = append(out, extension{"host_services", h.At})
	}
	for _, c := range n.Credentials {
		out = append(out, extension{"credentials", c.At})
	}
	if n.Workspace != nil && n.Workspace.Transactional {
		out = append(out, extension{"workspace: transactional", n.Workspace.At})
	}
	for _, i := range n.Ingress {
		if len(i.From) > 0 && !(len(i.From) == 1 && i.From[0] == "any") {
			out = append(out, extension{"ingress.from", i.At})
		}
	}
	return out
}
