package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds that keep the comparison of overlapping endpoints cheap.
const (
	maxVariants  = 1024 // different endpoints on one host and port
	maxWildHosts = 2000 // different wildcard hosts in a document
)

// variants are the endpoints of one host that differ, as representatives.
type variants struct {
	host string
	list []*Endpoint
	seen map[string]bool
}

// disagreements finds endpoints that overlap and contradict each other. Which
// one holds for a connection or a request would depend on chance, so the whole
// document is refused.
func disagreements(doc *Document) []*Error {
	a := &agreement{hosts: map[string]*variants{}}
	for i := range doc.Network {
		for j := range doc.Network[i].Endpoints {
			a.add(&doc.Network[i].Endpoints[j])
		}
	}
	for _, v := range a.order {
		a.compareWithin(v)
	}
	a.compareWild()
	return a.errs
}

type agreement struct {
	hosts map[string]*variants
	order []*variants // as in the file
	wild  []*variants
	errs  []*Error
}

func (a *agreement) add(e *Endpoint) {
	v := a.hosts[e.Host]
	if v == nil {
		v = &variants{host: e.Host, seen: map[string]bool{}}
		a.hosts[e.Host] = v
		a.order = append(a.order, v)
		if strings.Contains(e.Host, "*") {
			a.wild = append(a.wild, v)
		}
	}
	if key := e.signature(); !v.seen[key] {
		v.seen[key] = true
		v.list = append(v.list, e)
	}
}

// signature is equal for endpoints that agree on everything.
func (e *Endpoint) signature() string {
	return fmt.Sprint(e.Ports, e.connectionTraits(), e.requestTraits(), e.Path)
}

// connectionTraits must be the same for everything that can meet on a connection.
func (e *Endpoint) connectionTraits() [3]string {
	return [...]string{fmt.Sprint(e.Protocol == ProtocolTCP), fmt.Sprint(e.TLSSkip), fmt.Sprint(e.AllowedIPs)}
}

// requestTraits must be the same for endpoints that select the same request.
func (e *Endpoint) requestTraits() [9]string {
	signing := ""
	if e.Signing != nil {
		signing = e.Signing.Mode + " " + e.Signing.Service + " " + e.Signing.Region
	}
	limits := ""
	if e.Limits != nil {
		limits = fmt.Sprint(e.Limits.RequestsPerMinute, e.Limits.BytesOut, e.Limits.Connections)
	}
	mcp := ""
	if e.MCP != nil {
		mcp = fmt.Sprint(*e.MCP)
	}
	return [...]string{
		string(e.Protocol), string(e.Enforcement), fmt.Sprint(e.AllowEncodedSlash),
		fmt.Sprint(e.RequestBodyCredentialRewrite, e.WebSocketCredentialRewrite), signing, fmt.Sprint(e.MaxBodyBytes), limits,
		e.CredentialProvider, mcp + fmt.Sprint(e.PersistedQueries),
	}
}

func (a *agreement) compareWithin(v *variants) {
	if len(v.list) > maxVariants {
		a.fail(v.list[0].At, "", fmt.Sprintf("more than %d different endpoints for one host", maxVariants))
		return
	}
	for i, e := range v.list {
		for _, other := range v.list[:i] {
			a.compare(other, e)
		}
	}
}

// compareWild compares every wildcard host with the other hosts it overlaps.
func (a *agreement) compareWild() {
	if len(a.wild) > maxWildHosts {
		a.fail(a.wild[maxWildHosts].list[0].At, "", fmt.Sprintf("more than %d wildcard hosts", maxWildHosts))
		return
	}
	index := newTrie()
	for i, w := range a.wild {
		for _, e := range w.list {
			index.insert(&endpoint{Endpoint: e})
		}
		for _, other := range a.wild[:i] {
			if hostsOverlap(w.host, other.host) {
				a.compareAll(other.list, w.list)
			}
		}
	}
	var buffer [8][]*endpoint
	for _, v := range a.order {
		if v.host == "" || strings.Contains(v.host, "*") || isAddress(v.host) {
			continue
		}
		for _, group := range index.lookup(v.host, buffer[:0]) {
			for _, w := range group {
				a.compareAll([]*Endpoint{w.Endpoint}, v.list)
			}
		}
	}
}

func (a *agreement) compareAll(before, after []*Endpoint) {
	for _, x := range before {
		for _, y := range after {
			a.compare(x, y)
		}
	}
}

// compare reports the first thing that two overlapping endpoints disagree on.
func (a *agreement) compare(x, y *Endpoint) {
	if len(a.errs) >= maxErrors || !portsOverlap(x.Ports, y.Ports) || (x.Protocol == ProtocolUDP) != (y.Protocol == ProtocolUDP) {
		return
	}
	if x.Host != "" { // of hostless endpoints, allowed_ips is the destination itself
		names := [...]string{"protocol: tcp", "tls", "allowed_ips"}
		xt, yt := x.connectionTraits(), y.connectionTraits()
		for i := range names {
			if xt[i] != yt[i] {
				a.conflict(x, y, names[i])
				return
			}
		}
	}
	if !x.Protocol.Inspects() || !y.Protocol.Inspects() || !selectorsMeet(x.Path, y.Path) {
		return
	}
	names := [...]string{"protocol", "enforcement", "allow_encoded_slash", "credential rewriting", "credential_signing", "max_body_bytes", "limits", "credential_binding", "options"}
	xt, yt := x.requestTraits(), y.requestTraits()
	for i := range names {
		if xt[i] != yt[i] {
			a.conflict(x, y, names[i])
			return
		}
	}
}

// selectorsMeet reports whether two path selectors are equally specific and can
// select the same request.
func selectorsMeet(x, y string) bool {
	if x == y {
		return true
	}
	sx, sy := newSelector(x), newSelector(y)
	if sx.specificity != sy.specificity {
		return false
	}
	if x == "" || y == "" {
		return true
	}
	xWild, yWild := strings.Contains(sx.pattern, "*"), strings.Contains(sy.pattern, "*")
	switch {
	case !xWild:
		return sy.match(sx.pattern)
	case !yWild:
		return sx.match(sy.pattern)
	}
	return affixesOverlap(sx.pattern, sy.pattern)
}

func portsOverlap(x, y []uint16) bool {
	for _, p := range x {
		if slices.Contains(y, p) {
			return true
		}
	}
	return false
}

func (a *agreement) conflict(x, y *Endpoint, what string) {
	a.fail(y.At, "make both the same, or give one a more specific path",
		fmt.Sprintf("the endpoint overlaps the one at %s, but they disagree on %s", x.At, what))
}

func (a *agreement) fail(at Position, fix, msg string) {
	if len(a.errs) < maxErrors {
		a.errs = append(a.errs, &Error{At: at, Msg: msg, Fix: fix})
	}
}
