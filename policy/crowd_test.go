package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The index by program answers as the scan does, for the same rules on a host
// that is crowded and with the index taken away.
func TestCrowdAgreesWithScan(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		doc := &Document{Version: 1, Name: "crowd"}
		for i := range 40 {
			rule := NetworkRule{Key: fmt.Sprint(i), Name: fmt.Sprint(i), AnyBinary: r.IntN(20) == 0}
			for range 1 + r.IntN(3) {
				rule.Binaries = append(rule.Binaries, Binary{Path: []string{"/a", "/b", "/c", "/d", "/e*", "/*"}[r.IntN(6)%(5+r.IntN(2))]})
			}
			e := Endpoint{Host: "x.example.com", Ports: []uint16{443}, Enforcement: EnforcementEnforce, Protocol: ProtocolREST}
			e.Rules = []Rule{{Method: []string{"GET", "POST"}[r.IntN(2)], Path: fmt.Sprintf("/%d/**", r.IntN(9))}}
			if r.IntN(8) == 0 {
				e.DenyRules = []Rule{{Path: fmt.Sprintf("/%d/*", r.IntN(9))}}
			}
			rule.Endpoints = []Endpoint{e}
			doc.Network = append(doc.Network, rule)
		}
		m, err := Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.crowded) != 1 {
			t.Fatal("the host is not indexed")
		}
		plain := *m
		plain.crowded = nil
		for range 50 {
			name := func() Executable { return Executable{Path: []string{"/a", "/b", "/c", "/d", "/e1", "/f"}[r.IntN(6)]} }
			q := &Request{Stage: Stage(r.IntN(2)), Host: "x.example.com", Port: 443, Method: []string{"GET", "POST"}[r.IntN(2)], Path: fmt.Sprintf("/%d/x", r.IntN(9))}
			for range r.IntN(3) {
				q.Callers = append(q.Callers, Caller{Executable: name(), Ancestors: []Executable{name()}})
			}
			if got, want := m.Decide(q), plain.Decide(q); got.Verdict != want.Verdict || got.Reason != want.Reason {
				t.Fatalf("seed %d: %s: %s %s, want %s %s", seed, q.Text(), got.Verdict, got.Reason, want.Verdict, want.Reason)
			}
		}
	}
}
