package policy

import (
	"fmt"
	"reflect"
	"strings"
)

// Narrow puts a ceiling over a document: the result allows what both allow,
// and nothing else. Positions stay those of the document. What is gone or
// smaller is listed as clamps.
//
// Files, capabilities, devices, credentials, host services and limits are
// intersected here. For the network, what the ceiling cannot meet is marked
// [Endpoint.Clamped], and the ceiling itself goes along in [Document.Within], so
// that every request is decided by both: the intersection of path globs,
// methods or binaries is not a glob, but it is exact this way.
//
// Narrowing twice by the same ceiling changes nothing more.
func Narrow(doc, ceiling *Document) (*Document, []Clamp, error) {
	out := *doc
	n := &narrower{doc: &out, ceiling: ceiling}
	if n.done() {
		return &out, nil, nil
	}
	n.filesystem() // before Within is set: it ends the format's defaults
	if err := n.addCeilings(); err != nil {
		return nil, nil, err
	}
	n.static()
	n.network()
	n.extensions()
	return &out, n.clamps, nil
}

type narrower struct {
	doc     *Document
	ceiling *Document
	clamps  []Clamp
}

func (n *narrower) clamp(at Position, what, whyFormat string, args ...any) {
	n.clamps = append(n.clamps, Clamp{At: at, What: what, Why: fmt.Sprintf(whyFormat, args...)})
}

// ceilings gives the ceiling, and the ceilings that it is itself under.
func (n *narrower) ceilings() []*Document {
	plain := *n.ceiling
	plain.Within = nil
	return append([]*Document{&plain}, n.ceiling.Within...)
}

// done reports whether the document is already under the ceiling.
func (n *narrower) done() bool {
	for _, c := range n.ceilings() {
		if !containsDocument(n.doc.Within, c) {
			return false
		}
	}
	return true
}

// addCeilings records what the result is under.
func (n *narrower) addCeilings() error {
	within := append([]*Document(nil), n.doc.Within...)
	for _, c := range n.ceilings() {
		if !containsDocument(within, c) {
			within = append(within, c)
		}
	}
	if len(within) > maxWithin {
		return fmt.Errorf("narrowing policy %s by %s: under more than %d ceilings", n.doc.Name, n.ceiling.Name, maxWithin)
	}
	n.doc.Within = within
	return nil
}

func containsDocument(list []*Document, d *Document) bool {
	for _, x := range list {
		if reflect.DeepEqual(x, d) {
			return true
		}
	}
	return false
}

// static narrows the sections that are single values.
func (n *narrower) static() {
	if c := n.ceiling.Landlock; c != nil && c.Compatibility == HardRequirement {
		if n.doc.Landlock == nil || n.doc.Landlock.Compatibility != HardRequirement {
			n.doc.Landlock = &Landlock{Compatibility: HardRequirement, At: c.At}
			n.clamp(c.At, "landlock.compatibility becomes hard_requirement", "the ceiling %s demands it", n.ceiling.Name)
		}
	}
	if c := n.ceiling.Process; c != nil {
		p := Process{}
		if n.doc.Process != nil {
			p = *n.doc.Process
		}
		if c.RunAsUser != "" && c.RunAsUser != p.RunAsUser || c.RunAsGroup != "" && c.RunAsGroup != p.RunAsGroup {
			n.clamp(c.At, "process becomes that of the ceiling", "the ceiling %s sets it", n.ceiling.Name)
			n.doc.Process = c
		}
	}
}

// network marks the endpoints that the ceiling cannot meet. They stay, because
// their inspection and denies hold for what other endpoints grant.
func (n *narrower) network() {
	rules := make([]NetworkRule, len(n.doc.Network))
	for i, r := range n.doc.Network {
		r.Endpoints = append([]Endpoint(nil), r.Endpoints...)
		for j := range r.Endpoints {
			n.endpoint(&r, &r.Endpoints[j])
		}
		rules[i] = r
	}
	n.doc.Network = rules
}

func (n *narrower) endpoint(r *NetworkRule, e *Endpoint) {
	if e.Clamped != "" {
		return
	}
	met := n.meet(e)
	allowed, what := met.ports, endpointText(e)
	if len(allowed) == 0 {
		e.Clamped = fmt.Sprintf("the ceiling %s does not allow it", n.ceiling.Name)
		n.clamp(e.At, fmt.Sprintf("rule %q: %s is gone", printable(r.Name), what), "%s", e.Clamped)
		return
	}
	if len(allowed) < len(e.Ports) {
		n.clamp(e.At, fmt.Sprintf("rule %q: of %s only the ports %v stay", printable(r.Name), what, allowed), "the ceiling %s does not allow the others", n.ceiling.Name)
		// The port list stays as it is: the ceiling refuses the others when they
		// are asked for, and what is inspected on them stays inspected.
	}
	if e.relays() && !met.relayed {
		n.clamp(e.At, fmt.Sprintf("rule %q: %s is looked into, not relayed untouched", printable(r.Name), what), "the ceiling %s does not relay there", n.ceiling.Name)
	}
	if met.enforced && e.Enforcement == EnforcementAudit && e.Protocol.Inspects() {
		// Not rewritten here: it could then disagree with an endpoint that it
		// overlaps elsewhere. The decision enforces if either side does.
		n.clamp(e.At, fmt.Sprintf("rule %q: %s is enforced", printable(r.Name), what), "the ceiling %s enforces", n.ceiling.Name)
	}
}

func endpointText(e *Endpoint) string {
	host := e.Host
	if host == "" {
		host = fmt.Sprint(e.AllowedIPs)
	}
	return fmt.Sprintf("%s:%v", host, e.Ports)
}

// relays reports whether connections are spliced untouched.
func (e *Endpoint) relays() bool {
	return e.TLSSkip || e.Protocol == ProtocolTCP || e.Protocol == ProtocolUDP
}

// meeting is what a ceiling has for an endpoint.
type meeting struct {
	ports    []uint16 // on which something of it overlaps
	enforced bool     // all of that enforces
	relayed  bool     // some of that relays
}

func (n *narrower) meet(e *Endpoint) meeting {
	m := meeting{enforced: true}
	for _, port := range e.Ports {
		met := false
		for i := range n.ceiling.Network {
			c := &n.ceiling.Network[i]
			if !c.AnyBinary && len(c.Binaries) == 0 {
				continue
			}
			for j := range c.Endpoints {
				if endpointsMeet(e, &c.Endpoints[j], port) {
					met = true
					m.enforced = m.enforced && c.Endpoints[j].Enforcement == EnforcementEnforce
					m.relayed = m.relayed || c.Endpoints[j].relays()
				}
			}
		}
		if met || n.publicHost(e, port) {
			m.ports = append(m.ports, port)
		}
	}
	return m
}

// publicHost reports whether the ceiling's public_hosts covers the endpoint:
// an exact public name.
func (n *narrower) publicHost(e *Endpoint, port uint16) bool {
	x := n.ceiling.Nemoclaw
	if x == nil || x.PublicHosts == nil || strings.Contains(e.Host, "*") || !publicName(e.Host) || e.Protocol == ProtocolUDP {
		return false
	}
	return portsOverlap([]uint16{port}, x.PublicHosts.Ports)
}

// endpointsMeet reports whether some connection on the port falls under both.
func endpointsMeet(e, c *Endpoint, port uint16) bool {
	if !portsOverlap([]uint16{port}, c.Ports) || (e.Protocol == ProtocolUDP) != (c.Protocol == ProtocolUDP) || c.Clamped != "" {
		return false
	}
	switch {
	case e.Host == "" && c.Host == "":
		return prefixesOverlap(e, c)
	case e.Host == "":
		a, ok := parseHostAddress(c.Host)
		return ok && inside(e.AllowedIPs, a)
	case c.Host == "":
		a, ok := parseHostAddress(e.Host)
		return ok && inside(c.AllowedIPs, a)
	}
	return hostsOverlap(e.Host, c.Host)
}

func prefixesOverlap(e, c *Endpoint) bool {
	for _, x := range e.AllowedIPs {
		for _, y := range c.AllowedIPs {
			if x.Overlaps(y) {
				return true
			}
		}
	}
	return false
}
