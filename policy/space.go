package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// space is everything that some matchers tell apart: by its representatives a
// finite set of requests stands for all requests.
type space struct {
	all       []*Matcher // the matchers with their ceilings, flat
	endpoints []*endpoint
	hosts     []string
	addresses []netip.Addr
	ports     []uint16
	programs  []Executable
}

// newSpace collects the patterns of several matchers.
func newSpace(matchers ...*Matcher) (*space, error) {
	s := &space{}
	for _, m := range matchers {
		s.all = append(append(s.all, m), m.within...)
	}
	for _, m := range s.all {
		s.collect(m)
	}
	slices.Sort(s.ports)
	s.ports = slices.Compact(s.ports)
	s.literalAddresses()
	if err := s.hostNames(); err != nil {
		return nil, err
	}
	return s, s.executables()
}

func (s *space) collect(m *Matcher) {
	for _, list := range m.exact {
		s.endpoints = append(s.endpoints, list...)
	}
	for _, list := range m.address {
		s.endpoints = append(s.endpoints, list...)
	}
	s.endpoints = append(s.endpoints, m.hostless...)
	m.wild.each(func(list []*endpoint) { s.endpoints = append(s.endpoints, list...) })
	if m.public != nil {
		s.ports = append(s.ports, m.public.Ports...)
	}
	for _, e := range s.endpoints {
		s.ports = append(s.ports, e.Ports...)
	}
	slices.Sort(s.ports)
	s.ports = slices.Compact(s.ports)
}

// each visits every list of a trie.
func (t *trie) each(visit func([]*endpoint)) {
	visit(t.deep)
	visit(t.one)
	for _, p := range t.partial {
		visit(p.endpoints)
	}
	for _, label := range sortedKeys(t.children) {
		t.children[label].each(visit)
	}
	if t.star != nil {
		t.star.each(visit)
	}
}

// hostNames gives a name for each way in which the hosts can match.
func (s *space) hostNames() error {
	a := &automaton{}
	label := setOf("abcdefghijklmnopqrstuvwxyz0123456789-_")
	letter := setOf("abcdefghijklmnopqrstuvwxyz")
	dot := func() fragment { return a.text(".") }
	last := a.then(a.one(letter), a.many(a.one(label)))
	universe := a.then(a.many(a.then(a.atLeastOne(label), dot())), last)
	var patterns []fragment
	seen := map[string]bool{}
	add := func(host string) {
		if host == "" || isAddress(host) || seen[host] {
			return
		}
		seen[host] = true
		if strings.Contains(host, "*") {
			patterns = append(patterns, a.host(host, label))
		} else {
			s.hosts = append(s.hosts, host)
		}
	}
	for _, e := range s.endpoints {
		add(e.Host)
	}
	for _, m := range s.all {
		if m.public != nil {
			add("public.example.com")
			add("a.b.public.example.com")
			add("private.internal")
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	// Exact names are their own representatives. Those under a wildcard count
	// as patterns, so that the wildcard also gets a name that is none of them.
	for _, host := range s.hosts {
		if slices.ContainsFunc(s.endpoints, func(e *endpoint) bool { return strings.Contains(e.Host, "*") && hostMatches(e.Host, host) }) {
			patterns = append(patterns, a.text(host))
		}
	}
	words, err := a.representatives(universe, patterns)
	for _, w := range words {
		if !slices.Contains(s.hosts, w) {
			s.hosts = append(s.hosts, w)
		}
	}
	return err
}

// host gives the language of a wildcard host.
func (a *automaton) host(pattern string, label byteSet) fragment {
	rest, deep := cutDeep(pattern)
	f := a.empty()
	if deep {
		f = a.then(a.many(a.then(a.atLeastOne(label), a.text("."))), a.atLeastOne(label), a.text("."))
	}
	for i, l := range strings.Split(rest, ".") {
		if i > 0 {
			f = a.then(f, a.text("."))
		}
		if l == "*" {
			f = a.then(f, a.atLeastOne(label))
		} else {
			f = a.then(f, a.wild(l, label))
		}
	}
	return f
}

// literalAddresses gives the first address of every range that ranges of the
// policies and of the guard cut the address space into.
func (s *space) literalAddresses() {
	add := func(p netip.Prefix) {
		s.addresses = append(s.addresses, p.Masked().Addr())
		if after := lastOf(p).Next(); after.IsValid() {
			s.addresses = append(s.addresses, after)
		}
	}
	for _, e := range s.endpoints {
		for _, p := range e.AllowedIPs {
			add(p)
		}
		if a, ok := parseHostAddress(e.Host); ok {
			s.addresses = append(s.addresses, a)
		}
	}
	for _, r := range refusedRanges() {
		add(r.prefix)
	}
	for _, p := range []string{"1.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "2000::/3", "fc00::/7"} {
		add(netip.MustParsePrefix(p))
	}
	s.addresses = slices.DeleteFunc(s.addresses, RefusedAddress)
	slices.SortFunc(s.addresses, netip.Addr.Compare)
	s.addresses = slices.Compact(s.addresses)
}

// lastOf gives the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b) // the length is that of an address
	return a
}

// executables gives a program for each set of binaries that can match.
func (s *space) executables() error {
	a := &automaton{}
	inner := printableExcept("/")
	slash := func() fragment { return a.text("/") }
	universe := a.then(slash(), a.atLeastOne(inner), a.many(a.then(slash(), a.atLeastOne(inner))))
	var patterns []fragment
	seen, sums := map[string]bool{}, []string{""}
	for _, e := range s.endpoints {
		for i := range e.rule.binaries {
			b := &e.rule.binaries[i]
			if text := e.rule.Binaries[i].Path; !seen[text] {
				seen[text] = true
				patterns = append(patterns, a.glob(b.path, printableExcept("")))
			}
			if b.sha256 != "" && !slices.Contains(sums, b.sha256) {
				sums = append(sums, b.sha256)
			}
		}
	}
	words, err := a.representatives(universe, patterns)
	for _, w := range words {
		for _, sum := range sums {
			s.programs = append(s.programs, Executable{Path: w, SHA256: sum})
		}
	}
	return err
}

// errTooComplex is the honest end of a proof that would take too long.
var errTooComplex = errors.New("the policies are too complex to prove anything")

// maxCallers bounds the combinations of programs for one destination.
const maxCallers = 256

// callers gives processes for each set of the rules that can match together:
// one program, one with an ancestor, two holders of a socket.
func (s *space) callers(relevant []*endpoint) ([][]Caller, error) {
	var rules []*rule
	for _, e := range relevant {
		if !slices.Contains(rules, e.rule) {
			rules = append(rules, e.rule)
		}
	}
	out := [][]Caller{nil}
	seen := map[string]bool{signatureOf(rules, nil): true}
	add := func(c []Caller) {
		if k := signatureOf(rules, c); !seen[k] && len(out) < maxCallers {
			seen[k] = true
			out = append(out, c)
		}
	}
	for _, x := range s.programs {
		add([]Caller{{Executable: x}})
	}
	for i := 1; i < len(out); i++ {
		for j := 1; j < i; j++ {
			x := out[i][0]
			x.Ancestors = append(slices.Clone(x.Ancestors), out[j][0].Executable)
			x.Ancestors = append(x.Ancestors, out[j][0].Ancestors...)
			add([]Caller{x})
			add([]Caller{out[i][0], out[j][0]})
		}
	}
	if len(out) >= maxCallers {
		return nil, errTooComplex
	}
	return out, nil
}

func signatureOf(rules []*rule, callers []Caller) string {
	b := make([]byte, len(rules))
	for i, r := range rules {
		if r.permits(callers) {
			b[i] = 1
		}
	}
	return string(b)
}

// relevant gives the endpoints that a destination can meet.
func (s *space) relevant(host string, addr netip.Addr, port uint16) []*endpoint {
	var out []*endpoint
	for _, m := range s.all {
		var buffer [8][]*endpoint
		for _, group := range m.candidates(host, addr, buffer[:0]) {
			for _, e := range group {
				if slices.Contains(e.Ports, port) {
					out = append(out, e)
				}
			}
		}
	}
	return out
}
