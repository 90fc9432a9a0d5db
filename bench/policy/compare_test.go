// Package compare measures one decision over the same 50 rules by our matcher,
// by CEL and by OPA, in one run. It is a module of its own, so that neither of
// them becomes a dependency of the project:
//
//	cd bench/policy && go test -bench .
package compare

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/nemoclaw/nemoclaw/policy"
)

const rules = 50

// question is asked of all three: the 38th rule answers.
var question = map[string]any{"host": "h37.example.com", "port": 443, "binary": "/usr/bin/tool37", "method": "GET", "path": "/repos/37/a/b"}

func BenchmarkNemoclaw(b *testing.B) {
	var text strings.Builder
	text.WriteString("version: 1\nnetwork_policies:\n")
	for i := range rules {
		fmt.Fprintf(&text, "  r%d:\n    endpoints: [{host: h%d.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: \"/repos/%d/**\"}}]}]\n    binaries: [{path: /usr/bin/tool%d}]\n", i, i, i, i)
	}
	doc, _, err := policy.Parse("bench", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	m, err := policy.Compile(doc)
	if err != nil {
		b.Fatal(err)
	}
	r := &policy.Request{Stage: policy.StageRequest, Host: "h37.example.com", Port: 443, Method: "GET", Path: "/repos/37/a/b",
		Callers: []policy.Caller{{Executable: policy.Executable{Path: "/usr/bin/tool37"}}}}
	b.ReportAllocs()
	for b.Loop() {
		if m.Decide(r).Verdict != policy.Allow {
			b.Fatal("refused")
		}
	}
}

func BenchmarkCEL(b *testing.B) {
	env, err := cel.NewEnv(cel.Variable("host", cel.StringType), cel.Variable("port", cel.IntType), cel.Variable("binary", cel.StringType),
		cel.Variable("method", cel.StringType), cel.Variable("path", cel.StringType))
	if err != nil {
		b.Fatal(err)
	}
	var parts []string
	for i := range rules {
		parts = append(parts, fmt.Sprintf(`(host == "h%d.example.com" && port == 443 && binary == "/usr/bin/tool%d" && (method == "GET" || method == "HEAD") && path.startsWith("/repos/%d/"))`, i, i, i))
	}
	ast, issues := env.Compile(strings.Join(parts, " || "))
	if issues.Err() != nil {
		b.Fatal(issues.Err())
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		out, _, err := program.Eval(question)
		if err != nil || out.Value() != true {
			b.Fatal(out, err)
		}
	}
}

func BenchmarkOPA(b *testing.B) {
	var text strings.Builder
	text.WriteString("package bench\n\ndefault allow := false\n")
	for i := range rules {
		fmt.Fprintf(&text, "\nallow if {\n\tinput.host == \"h%d.example.com\"\n\tinput.port == 443\n\tinput.binary == \"/usr/bin/tool%d\"\n\tinput.method in {\"GET\", \"HEAD\"}\n\tglob.match(\"/repos/%d/**\", [\"/\"], input.path)\n}\n", i, i, i)
	}
	ctx := context.Background()
	query, err := rego.New(rego.Query("data.bench.allow"), rego.Module("bench.rego", text.String())).PrepareForEval(ctx)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		out, err := query.Eval(ctx, rego.EvalInput(question))
		if err != nil || !out.Allowed() {
			b.Fatal(out, err)
		}
	}
}
