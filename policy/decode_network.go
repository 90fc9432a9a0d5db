package policy

import (
	"encoding/hex"
	"net/netip"
	"sort"
	"strings"
)

func (d *decoder) network(n *node) []NetworkRule {
	if n.kind == kindNull {
		return nil
	}
	if n.kind != kindMap {
		d.fail(n.at, "", "network_policies must be a map of rules, not %s", n.describe())
		return nil
	}
	if len(n.entries) > maxRules {
		d.fail(n.at, "", "network_policies may have %d rules at most", maxRules)
		return nil
	}
	out := make([]NetworkRule, 0, len(n.entries))
	for _, e := range n.entries {
		if strings.HasPrefix(e.key, "_provider_") {
			d.fail(e.at, "choose another key", "keys that start with _provider_ are reserved")
		}
		out = append(out, d.networkRule(e))
	}
	return out
}

func (d *decoder) networkRule(e entry) NetworkRule {
	r := NetworkRule{Key: d.str(&node{kind: kindString, text: e.key, at: e.at}, "a rule's key"), At: e.at}
	r.Name = r.Key
	d.fields(e.value, "a network rule", map[string]func(*node){
		"name": func(n *node) {
			if s := d.str(n, "name"); s != "" {
				r.Name = s
			}
		},
		"endpoints": func(n *node) {
			for _, item := range d.list(n, "endpoints", maxRules) {
				r.Endpoints = append(r.Endpoints, d.endpoint(item))
			}
		},
		"binaries": func(n *node) { r.Binaries, r.AnyBinary = d.binaries(n) },
	})
	if len(r.Name) > maxNameLength {
		d.fail(r.At, "", "the name is longer than %d bytes", maxNameLength)
	}
	return r
}

// binaries reads a list, or our word "any".
func (d *decoder) binaries(n *node) (out []Binary, anyBinary bool) {
	if n.kind == kindString && n.text == "any" {
		return nil, true
	}
	for _, item := range d.list(n, "binaries", maxRules) {
		b := Binary{At: item.at}
		d.fields(item, "a binary", map[string]func(*node){
			"path":    func(n *node) { b.Path = d.binaryPath(n) },
			"sha256":  func(n *node) { b.SHA256 = d.sha256(n) },
			"harness": func(*node) {},
		})
		if b.Path == "" && item.kind == kindMap && !item.has("path") {
			d.fail(item.at, "add path: /usr/bin/…", "a binary without a path")
		}
		out = append(out, b)
	}
	return out, false
}

// has reports whether a map has the key.
func (n *node) has(key string) bool {
	for _, e := range n.entries {
		if e.key == key {
			return true
		}
	}
	return false
}

func (d *decoder) binaryPath(n *node) string {
	s := d.str(n, "a binary's path")
	if s == "" {
		return s
	}
	if !strings.HasPrefix(s, "/") || hasDotDot(s) {
		d.fail(n.at, "write the whole path from /, without ..", "the binary %q is not an absolute path", printable(s))
		return s
	}
	d.pattern(n, s, '/')
	return s
}

func (d *decoder) sha256(n *node) string {
	s := strings.ToLower(d.str(n, "sha256"))
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
		d.fail(n.at, "64 hexadecimal digits, as sha256sum prints", "sha256 is not a SHA-256")
	}
	return s
}

// pattern checks a glob and reports what is wrong with it.
func (d *decoder) pattern(n *node, s string, separator byte) {
	if _, err := compileGlob(s, separator); err != nil {
		d.fail(n.at, err.fix, "the pattern %q %s", printable(s), err.msg)
	}
}

// endpointDraft holds what is only needed while an endpoint is read.
type endpointDraft struct {
	Endpoint
	node       *node
	tls        string
	persisted  *node // persisted_queries
	registered *node // graphql_persisted_queries
	mcp        *node
	rules      *node
	deny       *node
	body       map[string]*node // protocol → its max_body_bytes
	set        map[string]Position
}

func (d *decoder) endpoint(n *node) Endpoint {
	e := &endpointDraft{Endpoint: Endpoint{At: n.at, Enforcement: EnforcementAudit}, node: n, body: map[string]*node{}, set: map[string]Position{}}
	if n.kind == kindMap {
		for _, f := range n.entries {
			e.set[f.key] = f.at
		}
	}
	fields := d.endpointFields(e)
	d.endpointOptions(e, fields)
	d.fields(n, "an endpoint", fields)
	if n.kind == kindMap {
		d.finishEndpoint(e)
	}
	return e.Endpoint
}

func (d *decoder) endpointFields(e *endpointDraft) map[string]func(*node) {
	return map[string]func(*node){
		"host": func(n *node) { e.Host = d.hostPattern(n) },
		"port": func(n *node) { e.Ports = []uint16{uint16(d.integer(n, "port", 1, 65535))} },
		"ports": func(n *node) {
			for _, item := range d.list(n, "ports", 64) {
				e.Ports = append(e.Ports, uint16(d.integer(item, "ports", 1, 65535)))
			}
			if n.kind == kindList && len(n.items) == 0 {
				d.fail(n.at, "name at least one port", "ports is empty")
			}
		},
		"path": func(n *node) {
			e.Path = d.str(n, "path")
			d.pattern(n, e.Path, '/')
		},
		"protocol": func(n *node) {
			e.Protocol = Protocol(d.word(n, "protocol", "", "rest", "websocket", "graphql", "mcp", "json-rpc", "tcp", "udp"))
		},
		"tls":         func(n *node) { e.tls = d.tls(n) },
		"enforcement": func(n *node) { e.Enforcement = Enforcement(d.word(n, "enforcement", "enforce", "audit")) },
		"access": func(n *node) {
			e.Access, e.AccessAt = Access(d.word(n, "access", "read-only", "read-write", "full")), n.at
		},
		"rules":       func(n *node) { e.rules = n },
		"deny_rules":  func(n *node) { e.deny = n },
		"allowed_ips": func(n *node) { e.AllowedIPs = d.allowedIPs(n) },
	}
}

// endpointOptions adds the fields that change how an endpoint is served.
func (d *decoder) endpointOptions(e *endpointDraft, fields map[string]func(*node)) {
	flag := func(name string, to *bool) {
		fields[name] = func(n *node) { *to = d.boolean(n, name) }
	}
	flag("allow_encoded_slash", &e.AllowEncodedSlash)
	flag("request_body_credential_rewrite", &e.RequestBodyCredentialRewrite)
	flag("websocket_credential_rewrite", &e.WebSocketCredentialRewrite)
	flag("allow_uninspected_credentials", &e.AllowUninspectedCredentials)
	sign := func() *Signing {
		if e.Signing == nil {
			e.Signing = &Signing{}
		}
		return e.Signing
	}
	fields["credential_signing"] = func(n *node) {
		sign().Mode = d.word(n, "credential_signing", "sigv4", "sigv4:body", "sigv4:no_body")
		sign().At = n.at
	}
	fields["signing_service"] = func(n *node) { sign().Service = d.str(n, "signing_service") }
	fields["signing_region"] = func(n *node) { sign().Region = d.str(n, "signing_region") }
	fields["credential_binding"] = func(n *node) {
		d.fields(n, "credential_binding", map[string]func(*node){
			"provider": func(n *node) { e.CredentialProvider = d.str(n, "provider") },
		})
	}
	fields["persisted_queries"] = func(n *node) { e.persisted = n }
	fields["graphql_persisted_queries"] = func(n *node) { e.registered = n }
	fields["graphql_max_body_bytes"] = func(n *node) { e.body["graphql"] = n }
	fields["json_rpc"] = func(n *node) {
		d.fields(n, "json_rpc", map[string]func(*node){"max_body_bytes": func(n *node) { e.body["json-rpc"] = n }})
	}
	fields["mcp"] = func(n *node) { e.mcp = n }
	fields["limits"] = func(n *node) { e.Limits = d.limits(n) }
}

// tls reads the field; the old words mean what now happens anyway.
func (d *decoder) tls(n *node) string {
	s := d.word(n, "tls", "auto", "skip", "terminate", "passthrough", "")
	switch s {
	case "terminate":
		d.warn(n.at, "old_tls_word", "leave tls away", "tls: terminate is an old word: TLS is terminated anyway")
	case "passthrough":
		d.warn(n.at, "old_tls_word", "leave tls away, or write tls: skip", "tls: passthrough is an old word and now means auto: TLS is terminated")
	}
	return s
}

func (d *decoder) hostPattern(n *node) string {
	s := d.str(n, "host")
	if s == "" {
		if n.kind == kindString {
			d.fail(n.at, "name a host, or leave host away and give allowed_ips", "host is empty")
		}
		return ""
	}
	canonical, bad := canonicalPattern(s)
	if bad != nil {
		d.fail(n.at, bad.fix, "the host %q %s", printable(s), bad.msg)
		return ""
	}
	return canonical
}

// allowedIPs reads prefixes or single addresses.
func (d *decoder) allowedIPs(n *node) []netip.Prefix {
	out := []netip.Prefix{}
	for _, item := range d.list(n, "allowed_ips", 256) {
		s := d.str(item, "allowed_ips")
		p, err := parsePrefix(s)
		if err != nil {
			if s != "" {
				d.fail(item.at, "write 10.0.0.0/8 or one address", "%q is not an address range", printable(s))
			}
			continue
		}
		if what := alwaysRefusedRange(p); what != "" {
			d.fail(item.at, "leave it away: such addresses are never reached", "allowed_ips may not list %s (%s)", what, p)
			continue
		}
		if bits := p.Bits(); p.Addr().Is4() && bits < 16 || p.Addr().Is6() && bits < 16 {
			d.warn(item.at, "wide_allowed_ips", "name the ranges that are needed", "%s is wider than /16", p)
		}
		out = append(out, p)
	}
	if n.kind == kindList && len(n.items) == 0 {
		d.fail(n.at, "list a range, or leave allowed_ips away", "allowed_ips is empty")
	}
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return out
}

// parsePrefix reads a prefix or an address, unmapped and without host bits. A
// zone is refused: it would slip past Contains.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
