package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/policy"
)

// pairOf is a policy of one endpoint with binaries.
func pairOf(t *testing.T, name, endpoints, binaries string) *policy.Document {
	t.Helper()
	text := "version: 1\nnetwork_policies:\n  a:\n    endpoints:\n"
	for _, e := range strings.Split(endpoints, "|") {
		text += "      - " + e + "\n"
	}
	doc, _, err := policy.Parse(name, []byte(text+"    binaries: "+binaries+"\n"))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

const (
	any_ = "any"
	curl = "[{path: /usr/bin/curl}]"
)

func rest(host, rules string) string {
	return fmt.Sprintf("{host: %q, port: 443, protocol: rest, enforcement: enforce, %s}", host, rules)
}

func allow(rules ...string) string {
	return "rules: [{allow: {" + strings.Join(rules, "}}, {allow: {") + "}}]"
}

// TestPlantedWidenings proves narrowings and finds planted widenings, each with
// a counterexample that a decision confirms.
func TestPlantedWidenings(t *testing.T) {
	get := allow(`method: GET, path: "/v1/**"`)
	for _, c := range []struct {
		name                 string
		a, aBin, b, bBin     string
		within               bool
		counterexampleSubstr string
	}{
		{"same", rest("x.example.com", get), curl, rest("x.example.com", get), curl, true, ""},
		{"exact under wildcard", rest("x.example.com", get), curl, rest("x.example.com", get) + "|" + rest("*.example.com", get), curl, true, ""},
		{"wildcard under deep wildcard", rest("*.example.com", get), curl, rest("**.example.com", get), curl, true, ""},
		{"deep wildcard over wildcard", rest("**.example.com", get), curl, rest("*.example.com", get), curl, false, "."},
		{"wildcard over exact", rest("*.example.com", get), curl, rest("x.example.com", get), curl, false, "example.com"},
		{"prefix wildcard under wildcard", rest("*-api.example.com", get), curl, rest("*.example.com", get), curl, true, ""},
		{"wildcard over prefix wildcard", rest("*.example.com", get), curl, rest("*-api.example.com", get), curl, false, "example.com"},
		{"another domain", rest("x.example.org", get), curl, rest("x.example.com", get), curl, false, "example.org"},
		{"GET under any method", rest("x.example.com", get), curl, rest("x.example.com", allow(`method: "*", path: "/v1/**"`)), curl, true, ""},
		{"any method over GET", rest("x.example.com", allow(`method: "*", path: "/v1/**"`)), curl, rest("x.example.com", get), curl, false, "/v1/"},
		{"read-only under read-write", rest("x.example.com", "access: read-only"), curl, rest("x.example.com", "access: read-write"), curl, true, ""},
		{"full over read-write", rest("x.example.com", "access: full"), curl, rest("x.example.com", "access: read-write"), curl, false, "x.example.com"},
		{"HEAD under GET", rest("x.example.com", allow(`method: HEAD, path: "/v1/**"`)), curl, rest("x.example.com", get), curl, true, ""},
		{"GET over HEAD", rest("x.example.com", get), curl, rest("x.example.com", allow(`method: HEAD, path: "/v1/**"`)), curl, false, "GET"},
		{"star under deep", rest("x.example.com", allow(`method: GET, path: "/v1/*"`)), curl, rest("x.example.com", get), curl, true, ""},
		{"deep over star", rest("x.example.com", get), curl, rest("x.example.com", allow(`method: GET, path: "/v1/*"`)), curl, false, "/v1/"},
		{"everything over deep: the root", rest("x.example.com", allow(`method: GET, path: "**"`)), curl, rest("x.example.com", allow(`method: GET, path: "/**"`)), curl, false, "x.example.com:443/ "},
		{"suffix under star", rest("x.example.com", allow(`method: GET, path: "/v1/a*z"`)), curl, rest("x.example.com", allow(`method: GET, path: "/v1/a*"`)), curl, true, ""},
		{"two halves are the whole", rest("x.example.com", allow(`method: GET, path: "/[a-m]*"`, `method: GET, path: "/[!a-m]*"`)), curl, rest("x.example.com", allow(`method: GET, path: "/*"`)), curl, true, ""},
		{"one letter is missing", rest("x.example.com", allow(`method: GET, path: "/*"`)), curl, rest("x.example.com", allow(`method: GET, path: "/[!q]*"`)), curl, false, "/q"},
		{"any binary over curl", rest("x.example.com", get), any_, rest("x.example.com", get), curl, false, "x.example.com"},
		{"curl under a glob", rest("x.example.com", get), curl, rest("x.example.com", get), "[{path: /usr/bin/*}]", true, ""},
		{"a glob over curl", rest("x.example.com", get), "[{path: /usr/bin/c*}]", rest("x.example.com", get), curl, false, "/usr/bin/c"},
		{"a hash under none", rest("x.example.com", get), "[{path: /usr/bin/curl, sha256: " + strings.Repeat("ab", 32) + "}]", rest("x.example.com", get), curl, true, ""},
		{"none over a hash", rest("x.example.com", get), curl, rest("x.example.com", get), "[{path: /usr/bin/curl, sha256: " + strings.Repeat("ab", 32) + "}]", false, "/usr/bin/curl"},
		{"a smaller range", "{port: 9000, allowed_ips: [10.1.0.0/16]}", any_, "{port: 9000, allowed_ips: [10.0.0.0/8]}", any_, true, ""},
		{"a larger range", "{port: 9000, allowed_ips: [10.0.0.0/8]}", any_, "{port: 9000, allowed_ips: [10.1.0.0/16]}", any_, false, "10."},
		{"a gap between ranges", "{port: 9000, allowed_ips: [10.0.0.0/15]}", any_, "{port: 9000, allowed_ips: [10.0.0.0/17, 10.1.0.0/16]}", any_, false, "10.0.128.0"},
		{"ranges that add up", "{port: 9000, allowed_ips: [10.0.0.0/15]}", any_, "{port: 9000, allowed_ips: [10.0.0.0/16, 10.1.0.0/16]}", any_, true, ""},
		{"private answers", `{host: x.example.com, port: 443}`, any_, `{host: "*.example.com", port: 443}`, any_, false, "resolved to 10.0.0.0"},
		{"another port", "{host: x.example.com, ports: [443, 8443]}", any_, "{host: x.example.com, port: 443}", any_, false, "8443"},
		{"L4 over rest", "{host: x.example.com, port: 443}", curl, rest("x.example.com", "access: full"), curl, false, "not inspected"},
		{"rest under L4", rest("x.example.com", "access: full"), curl, "{host: x.example.com, port: 443}", curl, true, ""},
		{"skip over L4", "{host: x.example.com, port: 443, tls: skip}", curl, "{host: x.example.com, port: 443}", curl, false, "not inspected"},
		{"a deny more", rest("x.example.com", "access: full, deny_rules: [{method: POST, path: /v1/admin}]"), curl, rest("x.example.com", "access: full"), curl, true, ""},
		{"a deny less", rest("x.example.com", "access: full"), curl, rest("x.example.com", "access: full, deny_rules: [{method: POST, path: /v1/admin}]"), curl, false, "/v1/admin"},
		{"a hole in a deny", rest("x.example.com", `access: full, deny_rules: [{method: "*", path: "/admin/*"}]`), curl, rest("x.example.com", `access: full, deny_rules: [{method: "*", path: "/admin/**"}]`), curl, false, "/admin/"},
		{"a deny by query", rest("x.example.com", "access: full"), curl, rest("x.example.com", `access: full, deny_rules: [{path: "**", query: {force: "1"}}]`), curl, false, "force=1"},
		{"a query less", rest("x.example.com", allow(`method: GET, path: /s, query: {q: "a*"}`)), curl, rest("x.example.com", allow(`method: GET, path: /s, query: {q: {any: ["a*", b]}}`)), curl, true, ""},
		{"a query more", rest("x.example.com", allow(`method: GET, path: /s`)), curl, rest("x.example.com", allow(`method: GET, path: /s, query: {q: "*"}`)), curl, false, "/s"},
		{"audit allows all", `{host: x.example.com, port: 443, protocol: rest, enforcement: audit, access: read-only}`, curl, rest("x.example.com", "access: read-only"), curl, false, "x.example.com"},
		{"all under audit", rest("x.example.com", "access: full"), curl, `{host: x.example.com, port: 443, protocol: rest, enforcement: audit, access: read-only}`, curl, true, ""},
		{"a selector that carves out", rest("x.example.com", "access: full"), curl, rest("x.example.com", "access: full") + "|" + rest("x.example.com", "access: read-only, path: /admin/**"), curl, false, "/admin"},
		{"tools", "{host: m.example.com, port: 443, protocol: mcp, enforcement: enforce, rules: [{allow: {tool: read_file}}]}", curl, `{host: m.example.com, port: 443, protocol: mcp, enforcement: enforce, rules: [{allow: {tool: "read_*"}}]}`, curl, true, ""},
		{"tools more", `{host: m.example.com, port: 443, protocol: mcp, enforcement: enforce, rules: [{allow: {tool: "read_*"}}]}`, curl, "{host: m.example.com, port: 443, protocol: mcp, enforcement: enforce, rules: [{allow: {tool: read_file}}]}", curl, false, "read_"},
		{"mutations", "{host: g.example.com, port: 443, protocol: graphql, enforcement: enforce, access: read-write}", curl, "{host: g.example.com, port: 443, protocol: graphql, enforcement: enforce, access: read-only}", curl, false, "mutation"},
		{"fields in two rules", "{host: g.example.com, port: 443, protocol: graphql, enforcement: enforce, rules: [{allow: {fields: [a, b]}}]}", curl, "{host: g.example.com, port: 443, protocol: graphql, enforcement: enforce, rules: [{allow: {fields: [a]}}, {allow: {fields: [b]}}]}", curl, false, "[a b]"},
		{"rpc", "{host: r.example.com, port: 443, protocol: json-rpc, enforcement: enforce, rules: [{allow: {method: \"eth_*\"}}]}", curl, "{host: r.example.com, port: 443, protocol: json-rpc, enforcement: enforce, rules: [{allow: {method: \"eth_*\"}}], deny_rules: [{method: eth_sign}]}", curl, false, "eth_sign"},
		{"messages", "{host: w.example.com, port: 443, protocol: websocket, enforcement: enforce, access: full}", curl, "{host: w.example.com, port: 443, protocol: websocket, enforcement: enforce, access: read-only}", curl, false, "WebSocket text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pairOf(t, "a", c.a, c.aBin), pairOf(t, "b", c.b, c.bBin)
			start := time.Now()
			found, err := policy.Prove(a, b)
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 10*slower*time.Second {
				t.Errorf("took %s", d)
			}
			if c.within {
				if found != nil {
					t.Errorf("not proven: %s", found.What)
				}
				return
			}
			if found == nil {
				t.Fatal("the widening was not found")
			}
			if !strings.Contains(found.What+" ", c.counterexampleSubstr) {
				t.Errorf("the counterexample is beside the point: %s, want %s", found.What, c.counterexampleSubstr)
			}
			confirm(t, a, b, found)
		})
	}
}

// confirm decides the counterexample on both sides.
func confirm(t *testing.T, a, b *policy.Document, found *policy.Counterexample) {
	t.Helper()
	ma, err := policy.Compile(a)
	if err != nil {
		t.Fatal(err)
	}
	mb, err := policy.Compile(b)
	if err != nil {
		t.Fatal(err)
	}
	da, db := ma.Decide(found.Request), mb.Decide(found.Request)
	switch {
	case da.Verdict == policy.Deny:
		t.Errorf("the first refuses it: %s", found.What)
	case found.Addr.IsValid():
		if !da.Permits(found.Addr) || db.Permits(found.Addr) {
			t.Errorf("the address does not decide: %s", found.What)
		}
	case db.Verdict != policy.Deny && da.Treatment <= db.Treatment:
		t.Errorf("the second allows it too: %s", found.What)
	}
}
