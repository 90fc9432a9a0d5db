package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
	"pgregory.net/rapid"
)

// chooser picks one of n; rapid's can shrink, the plain one is fast.
type chooser func(n int) int

func rapidChooser(t *rapid.T) chooser {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
}

func pick[T any](c chooser, list ...T) T { return list[c(len(list))] }

// randomDocument makes a small document over a small world, so that two of them
// often meet.
func randomDocument(c chooser, name string) *policy.Document {
	d := &policy.Document{Version: 1, Name: name}
	for i := range 1 + c(3) {
		r := policy.NetworkRule{Key: fmt.Sprint("r", i), Name: fmt.Sprint("r", i), At: policy.Position{File: name, Line: i + 1}}
		switch c(4) {
		case 0:
			r.AnyBinary = true
		case 1:
			r.Binaries = []policy.Binary{{Path: pick(c, "/bin/a", "/bin/*", "/**")}}
		default:
			r.Binaries = []policy.Binary{{Path: pick(c, "/bin/a", "/bin/b")}, {Path: "/opt/c"}}
		}
		for j := range 1 + c(3) {
			r.Endpoints = append(r.Endpoints, randomEndpoint(c, policy.Position{File: name, Line: 10*i + j + 10}))
		}
		d.Network = append(d.Network, r)
	}
	d.Filesystem = randomFilesystem(c)
	return d
}

func randomEndpoint(c chooser, at policy.Position) policy.Endpoint {
	e := policy.Endpoint{
		At:          at,
		Host:        pick(c, "a.x.com", "a.x.com", "b.x.com", "*.x.com", "**.x.com", "a*.x.com", "", "198.51.100.1"),
		Ports:       pick(c, []uint16{443}, []uint16{443}, []uint16{80, 443}),
		Enforcement: pick(c, policy.EnforcementEnforce, policy.EnforcementEnforce, policy.EnforcementAudit),
		Protocol:    pick(c, policy.ProtocolREST, policy.ProtocolREST, policy.ProtocolL4, policy.ProtocolTCP, policy.ProtocolJSONRPC, policy.ProtocolGraphQL),
	}
	if e.Host == "" {
		e.AllowedIPs = []netip.Prefix{netip.MustParsePrefix(pick(c, "198.51.100.0/24", "10.0.0.0/16"))}
	}
	e.TLSSkip = e.Protocol == policy.ProtocolL4 && c(4) == 0
	if !e.Protocol.Inspects() {
		return e
	}
	e.Path = pick(c, "", "", "", "/v1/**", "/v1/a")
	for range 1 + c(3) {
		e.Rules = append(e.Rules, randomRule(c, e.Protocol, at))
	}
	for range c(2) {
		e.DenyRules = append(e.DenyRules, randomRule(c, e.Protocol, at))
	}
	return e
}

func randomRule(c chooser, p policy.Protocol, at policy.Position) policy.Rule {
	switch p {
	case policy.ProtocolJSONRPC:
		return policy.Rule{At: at, Method: pick(c, "get", "g*", "set", "*")}
	case policy.ProtocolGraphQL:
		r := policy.Rule{At: at, OperationType: pick(c, "query", "mutation", "*", "")}
		if c(2) == 0 {
			r.Fields = []string{pick(c, "a", "b", "a*")}
		}
		return r
	}
	r := policy.Rule{At: at, Method: pick(c, "GET", "POST", "*", "DELETE"), Path: pick(c, "/v1/**", "/v1/*", "**", "/v1/a", "/*/a", "/v1/a*")}
	if c(4) == 0 {
		r.Query = []policy.QueryMatch{{Key: "k", Any: []string{pick(c, "1", "*")}}}
	}
	return r
}

func randomFilesystem(c chooser) *policy.Filesystem {
	f := &policy.Filesystem{IncludeWorkdir: c(2) == 0}
	for range c(3) {
		f.ReadOnly = append(f.ReadOnly, policy.Path{Path: pick(c, "/", "/usr", "/usr/lib", "/srv", "/srv/a")})
	}
	for range c(3) {
		f.ReadWrite = append(f.ReadWrite, policy.Path{Path: pick(c, "/tmp", "/srv", "/srv/a", "/srv/a/b")})
	}
	return f
}

func randomRequest(c chooser) *policy.Request {
	r := &policy.Request{
		Stage:    pick(c, policy.StageRequest, policy.StageRequest, policy.StageConnect),
		Host:     pick(c, "a.x.com", "a.x.com", "b.x.com", "ab.x.com", "q.a.x.com", "y.com", ""),
		Addr:     netip.MustParseAddr(pick(c, "198.51.100.1", "10.0.0.5")),
		Port:     pick(c, uint16(443), uint16(443), uint16(80)),
		Method:   pick(c, "GET", "POST", "DELETE", "HEAD", "post"),
		Path:     pick(c, "/v1/a", "/v1/b", "/v1", "/x/a", "/v1/a/b", "/v1/../x"),
		RawQuery: pick(c, "", "k=1", "k=2&k=1"),
	}
	if c(4) > 0 {
		r.Callers = []policy.Caller{{Executable: policy.Executable{Path: pick(c, "/bin/a", "/bin/b", "/opt/c")}}}
	}
	if c(3) == 0 {
		r.RPC = []policy.RPCCall{{Method: pick(c, "get", "set", "gone")}}
		r.GraphQL = []policy.GraphQLOperation{{Type: pick(c, "query", "mutation"), Fields: []string{pick(c, "a", "b", "ab")}}}
	}
	return r
}

// checkProperties is one pair of documents and some requests.
func checkProperties(c chooser) error {
	a, b := randomDocument(c, "a"), randomDocument(c, "b")
	ma, err := policy.Compile(a)
	if err != nil {
		return nil // they contradict themselves, and would have been refused
	}
	mb, err := policy.Compile(b)
	if err != nil {
		return nil
	}
	both, _, err := policy.Narrow(a, b)
	if err != nil {
		return err
	}
	mboth, err := policy.Compile(both)
	if err != nil {
		return fmt.Errorf("the narrowed document does not compile: %w", err)
	}
	twice, clamps, err := policy.Narrow(both, b)
	if err != nil || len(clamps) > 0 || !reflect.DeepEqual(twice, both) {
		return fmt.Errorf("narrowing twice changes: %v %v", err, clamps)
	}
	if err := checkFiles(a, b, both); err != nil {
		return err
	}
	shuffled, denied := shuffle(c, a), addDeny(c, a)
	for range 8 {
		r := randomRequest(c)
		da, db, dn := ma.Decide(r), mb.Decide(r), mboth.Decide(r)
		switch {
		case dn.Verdict != policy.Deny && (da.Verdict == policy.Deny || db.Verdict == policy.Deny):
			return fmt.Errorf("narrowed allows what a side refuses: %+v: %s, %s, %s", r, da.Verdict, db.Verdict, dn.Verdict)
		case da.Verdict == policy.Allow && db.Verdict == policy.Allow && dn.Verdict != policy.Allow:
			return fmt.Errorf("narrowed refuses what both allow: %+v: %s %s", r, dn.Reason, dn.Why)
		case dn.Treatment > da.Treatment && dn.Verdict != policy.Deny:
			return fmt.Errorf("narrowed inspects less: %+v", r)
		}
		if ms, err := policy.Compile(shuffled); err != nil || ms.Decide(r).Verdict != da.Verdict {
			return fmt.Errorf("the order matters: %+v: %v %s", r, err, da.Verdict)
		}
		if md, err := policy.Compile(denied); err == nil && md.Decide(r).Verdict > da.Verdict {
			return fmt.Errorf("a deny more allows more: %+v", r)
		}
		if ma.Name(r.Host) == policy.NameDenied && da.Verdict != policy.Deny && r.Host != "" {
			return fmt.Errorf("a request is allowed to a name that DNS denies: %+v", r)
		}
	}
	return nil
}

// checkFiles compares the access of every path.
func checkFiles(a, b, both *policy.Document) error {
	fa, fb, fn := a.EffectiveFilesystem(), b.EffectiveFilesystem(), both.EffectiveFilesystem()
	for _, p := range []string{"/", "/usr", "/usr/lib", "/usr/lib/x", "/srv", "/srv/a", "/srv/a/b", "/srv/a/b/c", "/srv/z", "/tmp", "/tmp/x", "/etc", "/home"} {
		want := min(fa.Access(p), fb.Access(p))
		if got := fn.Access(p); got != want {
			return fmt.Errorf("%s: %v and %v became %v\n%+v\n%+v\n%+v", p, fa.Access(p), fb.Access(p), got, fa, fb, fn)
		}
	}
	return nil
}

func shuffle(c chooser, d *policy.Document) *policy.Document {
	out := *d
	out.Network = slices.Clone(d.Network)
	for i := range out.Network {
		out.Network[i].Endpoints = slices.Clone(out.Network[i].Endpoints)
		slices.Reverse(out.Network[i].Endpoints)
		j := c(len(out.Network))
		out.Network[i], out.Network[j] = out.Network[j], out.Network[i]
	}
	return &out
}

// addDeny gives one endpoint a deny more.
func addDeny(c chooser, d *policy.Document) *policy.Document {
	out := *d
	out.Network = slices.Clone(d.Network)
	i := c(len(out.Network))
	out.Network[i].Endpoints = slices.Clone(out.Network[i].Endpoints)
	e := &out.Network[i].Endpoints[c(len(out.Network[i].Endpoints))]
	if e.Protocol.Inspects() {
		e.DenyRules = append(slices.Clone(e.DenyRules), randomRule(c, e.Protocol, e.At))
	}
	return &out
}

// TestProperties is for shrinking: run it with -rapid.checks for more.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := checkProperties(rapidChooser(t)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPropertiesOverManyPairs looks at 100,000 pairs that compile or not.
func TestPropertiesOverManyPairs(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	for seed := range uint64(n) {
		random := rand.New(rand.NewPCG(seed, 1))
		if err := checkProperties(random.IntN); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
