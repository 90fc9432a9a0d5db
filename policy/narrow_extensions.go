package policy

import (
	"fmt"
	"slices"
	"time"
)

// extensions intersects the nemoclaw section. What the ceiling does not name
// is gone; limits are the smaller of both, and hold even where only the
// ceiling has them.
func (n *narrower) extensions() {
	ceiling := n.ceiling.Nemoclaw
	if ceiling == nil {
		ceiling = &Extensions{}
	}
	if n.doc.Nemoclaw == nil {
		if ceiling.Limits != nil || ceiling.Workspace != nil && ceiling.Workspace.Transactional {
			n.doc.Nemoclaw = &Extensions{At: ceiling.At, Limits: ceiling.Limits, Workspace: transactional(nil, ceiling.Workspace)}
		}
		return
	}
	x := *n.doc.Nemoclaw
	x.Capabilities = n.named("capability", x.Capabilities, ceiling.Capabilities)
	x.Credentials = n.named("credential", x.Credentials, ceiling.Credentials)
	x.Ingress = keep(n, x.Ingress, func(in Ingress) (string, Position, bool) {
		return fmt.Sprintf("ingress on port %d", in.Port), in.At, ingressWithin(in, ceiling.Ingress)
	})
	x.HostServices = keep(n, x.HostServices, func(s HostService) (string, Position, bool) {
		return fmt.Sprintf("host service %s:%d", s.Name, s.Port), s.At, slices.ContainsFunc(ceiling.HostServices, func(c HostService) bool {
			return c.Name == s.Name && c.Port == s.Port
		})
	})
	x.Limits = smallerLimits(x.Limits, ceiling.Limits)
	x.Approvals = n.approvals(x.Approvals, ceiling.Approvals)
	x.Inference = n.inference(x.Inference, ceiling.Inference)
	x.GPU = n.gpu(x.GPU, ceiling.GPU)
	x.Workspace = transactional(x.Workspace, ceiling.Workspace)
	if x.PublicHosts != nil && ceiling.PublicHosts == nil {
		n.clamp(x.PublicHosts.At, "public_hosts is gone", "the ceiling %s does not have it", n.ceiling.Name)
		x.PublicHosts = nil
	}
	n.doc.Nemoclaw = &x
}

// keep drops the items that the ceiling does not have.
func keep[T any](n *narrower, items []T, judge func(T) (string, Position, bool)) []T {
	var out []T
	for _, item := range items {
		what, at, ok := judge(item)
		if !ok {
			n.clamp(at, what+" is gone", "the ceiling %s does not allow it", n.ceiling.Name)
			continue
		}
		out = append(out, item)
	}
	return out
}

func (n *narrower) named(what string, items, ceiling []Named) []Named {
	return keep(n, items, func(x Named) (string, Position, bool) {
		return what + " " + printable(x.Name), x.At, containsName(ceiling, x.Name)
	})
}

func containsName(list []Named, name string) bool {
	return slices.ContainsFunc(list, func(x Named) bool { return x.Name == name })
}

// ingressWithin reports whether the ceiling opens the port to all of these
// sources.
func ingressWithin(in Ingress, ceiling []Ingress) bool {
	for _, from := range in.From {
		if !slices.ContainsFunc(ceiling, func(c Ingress) bool { return c.Port == in.Port && sourceWithin(from, c.From) }) {
			return false
		}
	}
	return true
}

func sourceWithin(from string, list []string) bool {
	if slices.Contains(list, "any") || slices.Contains(list, from) {
		return true
	}
	p, err := parsePrefix(from)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(s string) bool {
		c, err := parsePrefix(s)
		return err == nil && c.Bits() <= p.Bits() && c.Contains(p.Addr())
	})
}

// smallerLimits takes the smaller of each; 0 is no limit.
func smallerLimits(a, b *Limits) *Limits {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	return &Limits{
		RequestsPerMinute: smaller(a.RequestsPerMinute, b.RequestsPerMinute),
		BytesOut:          smaller(a.BytesOut, b.BytesOut),
		Connections:       smaller(a.Connections, b.Connections),
		At:                a.At,
	}
}

func smaller[T int64 | time.Duration | int](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func transactional(own, ceiling *Workspace) *Workspace {
	if ceiling != nil && ceiling.Transactional && (own == nil || !own.Transactional) {
		return ceiling
	}
	return own
}

// approvals: the ceiling says what may be asked about at all.
func (n *narrower) approvals(own, ceiling *Approvals) *Approvals {
	if own == nil {
		return nil
	}
	if ceiling == nil {
		if own.PublicHosts || len(own.Hosts) > 0 {
			n.clamp(own.At, "approvals are gone", "the ceiling %s lets nothing be asked", n.ceiling.Name)
		}
		return nil
	}
	a := Approvals{At: own.At, Hold: smaller(own.Hold, ceiling.Hold), MaxGrant: smaller(own.MaxGrant, ceiling.MaxGrant)}
	a.PublicHosts = own.PublicHosts && ceiling.PublicHosts
	if own.PublicHosts && !ceiling.PublicHosts {
		n.clamp(own.At, "approvals.ask: public_hosts is gone", "the ceiling %s does not let them be asked", n.ceiling.Name)
	}
	a.Hosts = keep(n, own.Hosts, func(h string) (string, Position, bool) {
		return "approvals.ask: " + h, own.At, ceiling.PublicHosts && publicPattern(h) || slices.ContainsFunc(ceiling.Hosts, func(c string) bool { return patternWithin(h, c) })
	})
	return &a
}

// publicPattern reports whether all names of a pattern can be public.
func publicPattern(pattern string) bool { return publicName(pattern) }

// patternWithin reports whether every host of one pattern falls under another;
// it may say no too often.
func patternWithin(inner, outer string) bool {
	if inner == outer {
		return true
	}
	if !hostsOverlap(inner, outer) {
		return false
	}
	if rest, deep := cutDeep(outer); deep {
		return len(inner) > len(rest) && inner[len(inner)-len(rest)-1:] == "."+rest
	}
	return hostMatches(outer, inner)
}

func cutDeep(pattern string) (string, bool) {
	if len(pattern) > 3 && pattern[:3] == "**." {
		return pattern[3:], true
	}
	return pattern, false
}

// inference: routes, class and budget of the ceiling bound those of the policy.
// A ceiling without routes allows every route that the operator has defined.
func (n *narrower) inference(own, ceiling *Inference) *Inference {
	if own == nil {
		return nil
	}
	if ceiling == nil {
		n.clamp(own.At, "inference is gone", "the ceiling %s does not allow it", n.ceiling.Name)
		return nil
	}
	in := *own
	if ceiling.Routes != nil {
		if in.Routes == nil {
			in.Routes = ceiling.Routes
		}
		in.Routes = n.named("inference route", in.Routes, ceiling.Routes)
		if in.Routes == nil {
			in.Routes = []Named{}
		}
	}
	if !ceiling.AnyBinary && (in.AnyBinary || !slices.Equal(in.Binaries, ceiling.Binaries)) {
		in.Binaries, in.AnyBinary = binariesWithin(&in, ceiling), false
	}
	in.MaxClass = lowerClass(own.MaxClass, ceiling.MaxClass)
	in.TokensPerDay = smaller(own.TokensPerDay, ceiling.TokensPerDay)
	return &in
}

// binariesWithin keeps what both name alike; two globs have no glob in common.
func binariesWithin(own, ceiling *Inference) []Binary {
	if own.AnyBinary {
		return ceiling.Binaries
	}
	var out []Binary
	for _, b := range own.Binaries {
		for _, c := range ceiling.Binaries {
			if g, err := compileGlob(c.Path, '/'); err == nil && (c.Path == b.Path || g.match(b.Path)) && (c.SHA256 == "" || c.SHA256 == b.SHA256) {
				out = append(out, b)
				break
			}
		}
	}
	return out
}

// classes are the privacy classes, lower first. A request of a class above
// max_class stays local.
func classes() []string { return []string{"public", "internal", "personal", "secret", "regulated"} }

// lowerClass gives the lower of two classes; "" is no bound.
func lowerClass(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "" || slices.Index(classes(), a) <= slices.Index(classes(), b):
		return a
	}
	return b
}

func (n *narrower) gpu(own, ceiling *GPU) *GPU {
	if own == nil {
		return nil
	}
	if ceiling == nil {
		n.clamp(own.At, "gpu is gone", "the ceiling %s gives none", n.ceiling.Name)
		return nil
	}
	g := *own
	g.Count = min(own.Count, ceiling.Count)
	g.Devices = keep(n, own.Devices, func(d string) (string, Position, bool) {
		return "gpu device " + printable(d), own.At, slices.Contains(ceiling.Devices, d)
	})
	g.Sidecar = own.Sidecar && ceiling.Sidecar
	if g.Count < own.Count {
		n.clamp(own.At, fmt.Sprintf("gpu.count: %d instead of %d", g.Count, own.Count), "the ceiling %s gives no more", n.ceiling.Name)
	}
	return &g
}
