package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds that keep the comparison of overlapping endpoints cheap.
const (
	maxVariants    = 1024      // different endpoints on one host and port
	maxWildHosts   = 1000      // different wildcard hosts in a document
	maxComparisons = 1_000_000 // pairs of endpoints that can meet
)

// variant is an endpoint with what it must share with those it can meet.
type variant struct {
	*Endpoint
	connection [3]string
	request    [9]string
	selector   *selector
	wild       bool // the selector has wildcards
}

// variants are the endpoints of one host that differ, as representatives.
type variants struct {
	host string
	list []*variant
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
	hosts    map[string]*variants
	order    []*variants // as in the file
	wild     []*variants
	compared int
	errs     []*Error
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
	one := &variant{Endpoint: e, connection: e.connectionTraits(), request: e.requestTraits(), selector: newSelector(e.Path)}
	one.wild = strings.Contains(one.selector.pattern, "*")
	// Endpoints that agree on everything are compared once.
	if key := fmt.Sprint(e.Ports, one.connection, one.request, e.Path); !v.seen[key] {
		v.seen[key] = true
		v.list = append(v.list, one)
	}
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
	index, of := newTrie(), map[*Endpoint]*variant{}
	for i, w := range a.wild {
		for _, v := range w.list {
			of[v.Endpoint] = v
			index.insert(&endpoint{Endpoint: v.Endpoint})
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
				a.compareAll([]*variant{of[w.Endpoint]}, v.list)
			}
		}
	}
}

func (a *agreement) compareAll(before, after []*variant) {
	for _, x := range before {
		for _, y := range after {
			a.compare(x, y)
		}
	}
}

// compare reports the first thing that two overlapping endpoints disagree on.
func (a *agreement) compare(x, y *variant) {
	if a.compared++; a.compared > maxComparisons {
		if a.compared == maxComparisons+1 {
			a.fail(y.At, "name fewer hosts by wildcards", "too many endpoints overlap")
		}
		return
	}
	if len(a.errs) >= maxErrors || !portsOverlap(x.Ports, y.Ports) || (x.Protocol == ProtocolUDP) != (y.Protocol == ProtocolUDP) {
		return
	}
	if x.Host != "" && x.connection != y.connection { // of hostless endpoints, allowed_ips is the destination itself
		names := [...]string{"protocol: tcp", "tls", "allowed_ips"}
		a.conflict(x, y, names[firstDifference(x.connection[:], y.connection[:])])
		return
	}
	if x.request == y.request || !x.Protocol.Inspects() || !y.Protocol.Inspects() || !x.meets(y) {
		return
	}
	names := [...]string{"protocol", "enforcement", "allow_encoded_slash", "credential rewriting", "credential_signing", "max_body_bytes", "limits", "credential_binding", "options"}
	a.conflict(x, y, names[firstDifference(x.request[:], y.request[:])])
}

// firstDifference gives the index of the first pair that differs; there is one.
func firstDifference(x, y []string) int {
	for i := range x {
		if x[i] != y[i] {
			return i
		}
	}
	return 0
}

// meets reports whether two path selectors are equally specific and can select
// the same request.
func (x *variant) meets(y *variant) bool {
	switch {
	case x.Path == y.Path:
		return true
	case x.selector.specificity != y.selector.specificity:
		return false
	case x.Path == "" || y.Path == "":
		return true
	case !x.wild:
		return y.selector.match(x.selector.pattern)
	case !y.wild:
		return x.selector.match(y.selector.pattern)
	}
	return affixesOverlap(x.selector.pattern, y.selector.pattern)
}

func portsOverlap(x, y []uint16) bool {
	for _, p := range x {
		if slices.Contains(y, p) {
			return true
		}
	}
	return false
}

func (a *agreement) conflict(x, y *variant, what string) {
	a.fail(y.At, "make both the same, or give one a more specific path",
		fmt.Sprintf("the endpoint overlaps the one at %s, but they disagree on %s", x.At, what))
}

func (a *agreement) fail(at Position, fix, msg string) {
	if len(a.errs) < maxErrors {
		a.errs = append(a.errs, &Error{At: at, Msg: msg, Fix: fix})
	}
}
