package policy_test

import (
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

const smoke = `
version: 1
network_policies:
  gh:
    endpoints:
      - {host: api.github.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: "/repos/**"}}]}
    binaries: any
  tcp:
    endpoints: [{host: db.example.com, port: 5432, protocol: tcp}]
    binaries: [{path: /usr/bin/psql}]
`

func BenchmarkDecide(b *testing.B) {
	doc, _, err := policy.Parse("smoke.yaml", []byte(smoke))
	if err != nil {
		b.Fatal(err)
	}
	doc, _, err = policy.Narrow(doc, policy.BuiltinCeiling())
	if err != nil {
		b.Fatal(err)
	}
	m, err := policy.Compile(doc)
	if err != nil {
		b.Fatal(err)
	}
	r := &policy.Request{Stage: policy.StageRequest, Host: "api.github.com", Port: 443, Method: "GET", Path: "/repos/a/b"}
	b.ReportAllocs()
	for b.Loop() {
		if d := m.Decide(r); d.Verdict != policy.Allow {
			b.Fatal(d)
		}
	}
}
