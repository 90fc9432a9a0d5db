package policy

import (
	"math"
	"net/netip"
	"strings"
	"time"
)

// extensions reads our own section.
func (d *decoder) extensions(n *node) *Extensions {
	x := &Extensions{At: n.at}
	if n.kind == kindNull {
		return x
	}
	d.fields(n, "nemoclaw", map[string]func(*node){
		"capabilities": func(n *node) { x.Capabilities = d.capabilities(n) },
		"ingress": func(n *node) {
			for _, item := range d.list(n, "ingress", 256) {
				x.Ingress = append(x.Ingress, d.ingress(item))
			}
		},
		"limits":    func(n *node) { x.Limits = d.limits(n) },
		"approvals": func(n *node) { x.Approvals = d.approvals(n) },
		"inference": func(n *node) { x.Inference = d.inference(n) },
		"gpu":       func(n *node) { x.GPU = d.gpu(n) },
		"host_services": func(n *node) {
			for _, item := range d.list(n, "host_services", 64) {
				x.HostServices = append(x.HostServices, d.hostService(item))
			}
		},
		"credentials":  func(n *node) { x.Credentials = d.named(n, "credentials") },
		"workspace":    func(n *node) { x.Workspace = d.workspace(n) },
		"public_hosts": func(n *node) { x.PublicHosts = d.publicHosts(n) },
		"ceiling":      func(n *node) { x.Ceiling = d.boolean(n, "ceiling") },
	})
	return x
}

// named reads a list of words.
func (d *decoder) named(n *node, what string) []Named {
	out := []Named{}
	for _, item := range d.list(n, what, 256) {
		s := d.str(item, what)
		if s == "" || len(s) > maxNameLength || strings.ContainsAny(s, "/ \t") {
			d.fail(item.at, "", "%s: %q is not a name", what, printable(s))
			continue
		}
		out = append(out, Named{Name: s, At: item.at})
	}
	return out
}

// capabilities reads names with or without CAP_, in any case.
func (d *decoder) capabilities(n *node) []Named {
	out := d.named(n, "capabilities")
	for i := range out {
		name := strings.ToUpper(out[i].Name)
		if !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		out[i].Name = name
	}
	return out
}

func (d *decoder) ingress(n *node) Ingress {
	in := Ingress{At: n.at, From: []string{"any"}}
	d.fields(n, "an entry of ingress", map[string]func(*node){
		"port": func(n *node) { in.Port = uint16(d.integer(n, "port", 1, 65535)) },
		"from": func(n *node) {
			in.From = d.strings(n, "from", 64)
			for i, item := range n.items {
				s := in.From[i]
				if _, err := parsePrefix(s); err != nil && s != "any" && s != "" {
					d.fail(item.at, "write any, an address or a range", "%q is not a source", printable(s))
				}
			}
		},
	})
	if in.Port == 0 && n.kind == kindMap && !n.has("port") {
		d.fail(n.at, "add port: 8080", "an ingress without a port")
	}
	return in
}

func (d *decoder) limits(n *node) *Limits {
	l := &Limits{At: n.at}
	number := func(name string, to *int64) func(*node) {
		return func(n *node) { *to = d.integer(n, name, 0, math.MaxInt64) }
	}
	d.fields(n, "limits", map[string]func(*node){
		"requests_per_minute": number("requests_per_minute", &l.RequestsPerMinute),
		"bytes_out":           number("bytes_out", &l.BytesOut),
		"connections":         number("connections", &l.Connections),
	})
	return l
}

func (d *decoder) approvals(n *node) *Approvals {
	a := &Approvals{At: n.at}
	d.fields(n, "approvals", map[string]func(*node){
		"ask": func(n *node) {
			if n.kind == kindString {
				a.PublicHosts = d.word(n, "approvals.ask", "none", "public_hosts") == "public_hosts"
				return
			}
			for _, item := range d.list(n, "approvals.ask", 256) {
				if h := d.hostPattern(item); h != "" {
					a.Hosts = append(a.Hosts, h)
				}
			}
		},
		"hold":      func(n *node) { a.Hold = d.duration(n, "hold", 10*time.Minute) },
		"max_grant": func(n *node) { a.MaxGrant = d.duration(n, "max_grant", 366*24*time.Hour) },
	})
	return a
}

// duration reads a Go duration such as 30s or 24h.
func (d *decoder) duration(n *node, what string, most time.Duration) time.Duration {
	s := d.str(n, what)
	if s == "" {
		return 0
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 || v > most {
		d.fail(n.at, "write a number with s, m or h", "%s must be a time up to %s, not %q", what, most, printable(s))
		return 0
	}
	return v
}

func (d *decoder) inference(n *node) *Inference {
	in := &Inference{At: n.at, AnyBinary: true}
	d.fields(n, "inference", map[string]func(*node){
		"binaries":  func(n *node) { in.Binaries, in.AnyBinary = d.binaries(n) },
		"routes":    func(n *node) { in.Routes = d.named(n, "routes") },
		"max_class": func(n *node) { in.MaxClass = d.word(n, "max_class", classes()...) },
		"budget": func(n *node) {
			d.fields(n, "budget", map[string]func(*node){
				"tokens_per_day": func(n *node) { in.TokensPerDay = d.integer(n, "tokens_per_day", 0, math.MaxInt64) },
			})
		},
	})
	return in
}

func (d *decoder) gpu(n *node) *GPU {
	g := &GPU{At: n.at, Sidecar: true}
	d.fields(n, "gpu", map[string]func(*node){
		"count": func(n *node) { g.Count = int(d.integer(n, "gpu.count", 0, 1024)) },
		"devices": func(n *node) {
			g.Devices = d.strings(n, "gpu.devices", 256)
		},
		"sidecar": func(n *node) { g.Sidecar = d.boolean(n, "gpu.sidecar") },
	})
	return g
}

func (d *decoder) hostService(n *node) HostService {
	s := HostService{At: n.at}
	d.fields(n, "an entry of host_services", map[string]func(*node){
		"name": func(n *node) {
			canonical, ok := CanonicalHost(d.str(n, "name"))
			if _, isAddr := netip.ParseAddr(canonical); !ok || isAddr == nil {
				d.fail(n.at, "write a name such as ollama.host", "%q is not a DNS name", printable(n.text))
			}
			s.Name = canonical
		},
		"port": func(n *node) { s.Port = uint16(d.integer(n, "port", 1, 65535)) },
	})
	if n.kind == kindMap && (!n.has("name") || !n.has("port")) {
		d.fail(n.at, "write {name: ollama.host, port: 11434}", "a host service needs name and port")
	}
	return s
}

func (d *decoder) workspace(n *node) *Workspace {
	return &Workspace{At: n.at, Transactional: d.word(n, "workspace", "direct", "transactional") == "transactional"}
}

// publicHosts is for ceilings: which ports of which exact public names a policy
// below may name.
func (d *decoder) publicHosts(n *node) *PublicHosts {
	p := &PublicHosts{At: n.at}
	d.fields(n, "public_hosts", map[string]func(*node){
		"ports": func(n *node) {
			for _, item := range d.list(n, "ports", 64) {
				p.Ports = append(p.Ports, uint16(d.integer(item, "ports", 1, 65535)))
			}
		},
	})
	return p
}

// middlewares reads network_middlewares.
func (d *decoder) middlewares(n *node) []Middleware {
	if n.kind == kindNull {
		return nil
	}
	if n.kind != kindMap || len(n.entries) > maxMiddlewares {
		d.fail(n.at, "", "network_middlewares must be a map of at most %d", maxMiddlewares)
		return nil
	}
	var out []Middleware
	orders := map[int]string{}
	for _, e := range n.entries {
		m := d.middleware(e)
		if other, twice := orders[m.Order]; twice {
			d.fail(e.at, "give each its own order", "%q and %q have the same order %d", printable(other), printable(e.key), m.Order)
		}
		orders[m.Order] = e.key
		out = append(out, m)
	}
	return out
}

func (d *decoder) middleware(e entry) Middleware {
	m := Middleware{Key: e.key, At: e.at}
	d.fields(e.value, "a middleware", map[string]func(*node){
		"middleware": func(n *node) { m.Middleware = d.str(n, "middleware") },
		"order":      func(n *node) { m.Order = int(d.integer(n, "order", -1<<31, 1<<31-1)) },
		"on_error":   func(n *node) { m.FailOpen = d.word(n, "on_error", "fail_closed", "fail_open") == "fail_open" },
		"config": func(n *node) {
			if v, ok := d.free(n).(map[string]any); ok {
				m.Config = v
			} else {
				d.fail(n.at, "", "config must be a map")
			}
		},
		"endpoints": func(n *node) {
			d.fields(n, "endpoints", map[string]func(*node){
				"include": func(n *node) { m.Include = d.hostPatterns(n, "include") },
				"exclude": func(n *node) { m.Exclude = d.hostPatterns(n, "exclude") },
			})
		},
	})
	if m.Middleware == "" && e.value.kind == kindMap && !e.value.has("middleware") {
		d.fail(e.at, "add middleware: name", "a middleware without its name")
	}
	if len(m.Include) == 0 {
		d.fail(e.at, "add endpoints: {include: [name.example.com]}", "endpoints.include is empty")
	}
	return m
}

func (d *decoder) hostPatterns(n *node, what string) []string {
	var out []string
	for _, item := range d.list(n, what, maxPatterns) {
		if h := d.hostPattern(item); h != "" {
			out = append(out, h)
		}
	}
	return out
}

// free reads what has no schema: a middleware's own configuration.
func (d *decoder) free(n *node) any {
	switch n.kind {
	case kindMap:
		out := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			out[e.key] = d.free(e.value)
		}
		return out
	case kindList:
		out := make([]any, 0, len(n.items))
		for _, item := range n.items {
			out = append(out, d.free(item))
		}
		return out
	case kindBool:
		return strings.EqualFold(n.text, "true")
	case kindInt:
		return d.integer(n, "a number", math.MinInt64, math.MaxInt64)
	case kindNull:
		return nil
	}
	return n.text
}
