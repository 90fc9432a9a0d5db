package policy

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxWithin is how many ceilings a document can be under.
const maxWithin = 4

// Matcher is a compiled document. It is immutable and safe for use by many
// goroutines at once.
type Matcher struct {
	doc      *Document
	exact    map[string][]*endpoint
	address  map[netip.Addr][]*endpoint
	crowded  map[string]*crowd // of exact, where it is worth it
	hostless []*endpoint
	wild     *trie
	public   *endpoint // nemoclaw.public_hosts of a ceiling
	within   []*Matcher
}

// endpoint is a compiled endpoint of a rule.
type endpoint struct {
	*Endpoint
	rule        *rule
	selector    *selector // nil: every path
	specificity int
	allows      []ruleMatch
	denies      []ruleMatch
}

// rule is a compiled network rule.
type rule struct {
	*NetworkRule
	binaries []binary
}

type binary struct {
	path   *glob
	sha256 string
}

// Compile makes a matcher. It refuses what Parse refuses: patterns that are
// none, and endpoints that overlap and disagree. The document must not change
// afterwards.
func Compile(doc *Document) (*Matcher, error) {
	if len(doc.Within) > maxWithin {
		return nil, fmt.Errorf("compiling policy %s: under more than %d ceilings", doc.Name, maxWithin)
	}
	m, err := compileOwn(doc)
	if err != nil {
		return nil, err
	}
	for _, w := range doc.Within {
		c, err := compileOwn(w)
		if err != nil {
			return nil, err
		}
		m.within = append(m.within, c)
	}
	return m, nil
}

// compileOwn compiles a document without its ceilings.
func compileOwn(doc *Document) (*Matcher, error) {
	if errs := disagreements(doc); len(errs) > 0 {
		return nil, Errors(errs)
	}
	m := &Matcher{doc: doc, exact: map[string][]*endpoint{}, address: map[netip.Addr][]*endpoint{}, wild: newTrie()}
	for i := range doc.Network {
		if err := m.addRule(&doc.Network[i]); err != nil {
			return nil, err
		}
	}
	m.crowded = crowds(m.exact)
	if x := doc.Nemoclaw; x != nil && x.PublicHosts != nil {
		m.public = publicEndpoint(x.PublicHosts)
	}
	return m, nil
}

// publicEndpoint is what nemoclaw.public_hosts stands for.
func publicEndpoint(p *PublicHosts) *endpoint {
	r := &rule{NetworkRule: &NetworkRule{Key: "public_hosts", Name: "public_hosts", At: p.At, AnyBinary: true}}
	return &endpoint{Endpoint: &Endpoint{At: p.At, Ports: p.Ports, Enforcement: EnforcementEnforce}, rule: r}
}

func (m *Matcher) addRule(nr *NetworkRule) error {
	r := &rule{NetworkRule: nr}
	for _, b := range nr.Binaries {
		g, err := compileGlob(b.Path, '/')
		if err != nil {
			return compileError(b.At, err)
		}
		r.binaries = append(r.binaries, binary{path: g, sha256: b.SHA256})
	}
	for i := range nr.Endpoints {
		e, err := compileEndpoint(&nr.Endpoints[i], r)
		if err != nil {
			return err
		}
		m.index(e)
	}
	return nil
}

func compileError(at Position, err *patternError) error {
	return &Error{At: at, Msg: err.msg, Fix: err.fix}
}

func compileEndpoint(src *Endpoint, r *rule) (*endpoint, error) {
	e := &endpoint{Endpoint: src, rule: r}
	if src.Path != "" {
		e.selector = newSelector(src.Path)
		e.specificity = e.selector.specificity
	}
	for i := range src.Rules {
		c, err := compileRule(&src.Rules[i], src.Protocol, false)
		if err != nil {
			return nil, compileError(src.Rules[i].At, err)
		}
		e.allows = append(e.allows, c)
	}
	for i := range src.DenyRules {
		c, err := compileRule(&src.DenyRules[i], src.Protocol, true)
		if err != nil {
			return nil, compileError(src.DenyRules[i].At, err)
		}
		e.denies = append(e.denies, c)
	}
	e.allows = append(e.allows, accessRules(src)...)
	return e, nil
}

// index files an endpoint by its host.
func (m *Matcher) index(e *endpoint) {
	switch {
	case e.Host == "":
		m.hostless = append(m.hostless, e)
	case strings.Contains(e.Host, "*"):
		m.wild.insert(e)
	default:
		if a, ok := parseHostAddress(e.Host); ok {
			m.address[a] = append(m.address[a], e)
			return
		}
		m.exact[e.Host] = append(m.exact[e.Host], e)
	}
}

// Document gives what was compiled.
func (m *Matcher) Document() *Document { return m.doc }

// selector is an endpoint's path: looser than a rule's, * crosses /, and /v1/**
// also matches /v1. The rule is then checked strictly.
type selector struct {
	pattern     string
	base        string // of /v1/**: /v1
	specificity int    // characters that are not *
}

func newSelector(path string) *selector {
	p := canonicalPathPattern(path)
	s := &selector{pattern: p, specificity: len(p) - strings.Count(p, "*")}
	if base, deep := strings.CutSuffix(p, "/**"); deep {
		s.base = collapseStars(base)
	}
	s.pattern = collapseStars(p)
	return s
}

// collapseStars makes one * of every run.
func collapseStars(p string) string {
	for strings.Contains(p, "**") {
		p = strings.ReplaceAll(p, "**", "*")
	}
	return p
}

func (s *selector) match(path string) bool {
	return matchWild(s.pattern, path) || s.base != "" && matchWild(s.base, path)
}

// permits reports whether every holder of the socket is one of the rule's
// binaries, itself or by an ancestor.
func (r *rule) permits(callers []Caller) bool {
	if r.AnyBinary {
		return true
	}
	if len(r.binaries) == 0 {
		return false
	}
	for i := range callers {
		if !r.permitsOne(&callers[i]) {
			return false
		}
	}
	return len(callers) > 0
}

func (r *rule) permitsOne(c *Caller) bool {
	if r.names(&c.Executable) {
		return true
	}
	for i := range c.Ancestors {
		if r.names(&c.Ancestors[i]) {
			return true
		}
	}
	return false
}

func (r *rule) names(x *Executable) bool {
	for i := range r.binaries {
		b := &r.binaries[i]
		if b.path.match(x.Path) && (b.sha256 == "" || b.sha256 == x.SHA256) {
			return true
		}
	}
	return false
}

// grants reports whether the rule can match any process at all.
func (r *rule) grants() bool { return r.AnyBinary || len(r.binaries) > 0 }

// trie indexes wildcard hosts by their labels from the right, so that a lookup
// visits only patterns that share the host's ending.
type trie struct {
	children map[string]*trie
	star     *trie // a middle label *
	deep     []*endpoint
	one      []*endpoint
	partial  []partial
}

// partial holds the endpoints of one first label with a wildcard inside.
type partial struct {
	label     string
	endpoints []*endpoint
}

func newTrie() *trie { return &trie{children: map[string]*trie{}} }

func (t *trie) insert(e *endpoint) {
	first, rest, _ := strings.Cut(e.Host, ".")
	labels := strings.Split(rest, ".")
	for i := len(labels) - 1; i >= 0; i-- {
		t = t.child(labels[i])
	}
	switch first {
	case "**":
		t.deep = append(t.deep, e)
	case "*":
		t.one = append(t.one, e)
	default:
		t.insertPartial(first, e)
	}
}

func (t *trie) child(label string) *trie {
	if label == "*" {
		if t.star == nil {
			t.star = newTrie()
		}
		return t.star
	}
	next := t.children[label]
	if next == nil {
		next = newTrie()
		t.children[label] = next
	}
	return next
}

func (t *trie) insertPartial(label string, e *endpoint) {
	for i := range t.partial {
		if t.partial[i].label == label {
			t.partial[i].endpoints = append(t.partial[i].endpoints, e)
			return
		}
	}
	t.partial = append(t.partial, partial{label: label, endpoints: []*endpoint{e}})
}

// lookup appends every list whose pattern matches; host are the labels not yet
// consumed.
func (t *trie) lookup(host string, out [][]*endpoint) [][]*endpoint {
	if len(t.deep) > 0 {
		out = append(out, t.deep)
	}
	dot := strings.LastIndexByte(host, '.')
	if dot < 0 {
		if len(t.one) > 0 {
			out = append(out, t.one)
		}
		for i := range t.partial {
			if matchWild(t.partial[i].label, host) {
				out = append(out, t.partial[i].endpoints)
			}
		}
		return out
	}
	if next := t.children[host[dot+1:]]; next != nil {
		out = next.lookup(host[:dot], out)
	}
	if t.star != nil {
		out = t.star.lookup(host[:dot], out)
	}
	return out
}
