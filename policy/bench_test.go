package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

// manyRules writes a policy of n rules; spread says whether each has its own
// host, or all are on one.
func manyRules(n int, spread bool) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nnetwork_policies:\n")
	for i := range n {
		host := "api.example.com"
		if spread {
			host = fmt.Sprintf("h%d.example.com", i)
		}
		fmt.Fprintf(&b, `  rule%d:
    endpoints:
      - host: %s
        port: 443
        protocol: rest
        enforcement: enforce
        rules:
          - allow: {method: GET, path: "/repos/%d/**"}
          - allow: {method: POST, path: "/repos/%d/issues"}
    binaries:
      - {path: /usr/bin/tool%d}
      - {path: /usr/local/bin/tool%d}
`, i, host, i, i, i, i)
	}
	return []byte(b.String())
}

func compileBench(b testing.TB, data []byte, ceiling bool) *policy.Matcher {
	doc, _, err := policy.Parse("bench.yaml", data)
	if err != nil {
		b.Fatal(err)
	}
	if ceiling {
		if doc, _, err = policy.Narrow(doc, policy.BuiltinCeiling()); err != nil {
			b.Fatal(err)
		}
	}
	m, err := policy.Compile(doc)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func benchRequest(i int, host string) *policy.Request {
	return &policy.Request{
		Stage: policy.StageRequest, Host: host, Port: 443, Method: "GET", Path: fmt.Sprintf("/repos/%d/a/b", i),
		Callers: []policy.Caller{{Executable: policy.Executable{Path: fmt.Sprintf("/usr/bin/tool%d", i)}}},
	}
}

func BenchmarkDecide(b *testing.B) {
	cases := map[string]struct {
		spread, ceiling bool
		r               *policy.Request
	}{
		"1000rules":        {true, false, benchRequest(777, "h777.example.com")},
		"1000rulesCeiling": {true, true, benchRequest(777, "h777.example.com")},
		"1000rulesOneHost": {false, false, benchRequest(777, "api.example.com")},
	}
	for name, c := range cases {
		b.Run(name, func(b *testing.B) {
			m := compileBench(b, manyRules(1000, c.spread), c.ceiling)
			b.ReportAllocs()
			for b.Loop() {
				if m.Decide(c.r).Verdict != policy.Allow {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkLoad parses and compiles 10,000 rules.
func BenchmarkLoad(b *testing.B) {
	data := manyRules(10_000, true)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		compileBench(b, data, false)
	}
}

// A decision allocates nothing, ceiling or not.
func TestDecideDoesNotAllocate(t *testing.T) {
	for _, ceiling := range []bool{false, true} {
		m := compileBench(t, manyRules(100, true), ceiling)
		r := benchRequest(7, "h7.example.com")
		if n := testing.AllocsPerRun(100, func() { m.Decide(r) }); n != 0 {
			t.Errorf("%v allocations with ceiling %v", n, ceiling)
		}
	}
}
