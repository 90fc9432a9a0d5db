package policy_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/nemoclaw/nemoclaw/policy"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON gives a YAML text as the schema's library wants it.
func asJSON(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever Parse takes the schema takes, and what has a wrong key or word
// neither takes.
func TestSchemaAgreesWithParse(t *testing.T) {
	s := compileSchema(t)
	files, _ := filepath.Glob("testdata/policies/*/*.yaml")
	more, _ := filepath.Glob("testdata/policies/*/*/*.yaml")
	presets, _ := filepath.Glob("presets/*.yaml")
	for _, file := range append(append(files, more...), presets...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asJSON(t, fillTemplate(data))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, text := range []string{
		"version: 1\nnetwork_policy: {}\n", "version: 2\n", "version: 1\nlandlock: {compatibility: best}\n",
		"version: 1\nnetwork_policies: {a: {endpoints: [{host: a.example.com}]}}\n",
		"version: 1\nnetwork_policies: {a: {endpoints: [{host: a.example.com, port: 1, rules: []}]}}\n",
		"version: 1\nnemoclaw: {gpus: 1}\n", "{}\n",
	} {
		if s.Validate(asJSON(t, []byte(text))) == nil {
			t.Errorf("the schema takes %q", text)
		}
		if _, _, err := policy.Parse("x", []byte(text)); err == nil {
			t.Errorf("Parse takes %q", text)
		}
	}
}

func TestFormatSourceKeepsComments(t *testing.T) {
	const before = "version:   1 # one\n# why\nnetwork_policies:\n    a:\n        endpoints:\n            - { host: a.example.com,   port: 443 }   \n        binaries: any\n"
	after, err := policy.FormatSource("x", []byte(before))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# one", "# why", "a.example.com"} {
		if !bytes.Contains(after, []byte(want)) {
			t.Errorf("%q is lost:\n%s", want, after)
		}
	}
	again, err := policy.FormatSource("x", after)
	if err != nil || !bytes.Equal(again, after) {
		t.Errorf("formatting twice changes: %v\n%s\n%s", err, after, again)
	}
	presets, _ := filepath.Glob("presets/*.yaml")
	for _, file := range presets {
		data, _ := os.ReadFile(file)
		out, err := policy.FormatSource(file, data)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(out, data) {
			t.Errorf("%s is not formatted", file)
		}
	}
}

// The schema has exactly the keys that the decoder has: a key that no decoder
// knows is asked for in each map, and the error lists the others.
func TestSchemaHasTheDecodersKeys(t *testing.T) {
	var schema struct {
		Properties map[string]any            `json:"properties"`
		Defs       map[string]map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(policy.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	keys := func(m map[string]any, path ...string) string {
		for _, p := range path {
			next, ok := m[p].(map[string]any)
			if !ok {
				t.Fatalf("the schema has no %v", path)
			}
			m = next
		}
		return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	}
	endpoint := func(more string) string {
		return "version: 1\nnetwork_policies: {a: {endpoints: [{host: a.example.com, port: 1, " + more + "}], binaries: any}}\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"top":        {"version: 1\nzzzzzzzz: 1\n", keys(schema.Properties)},
		"files":      {"version: 1\nfilesystem_policy: {zzzzzzzz: 1}\n", keys(schema.Properties, "filesystem_policy", "properties")},
		"process":    {"version: 1\nprocess: {zzzzzzzz: 1}\n", keys(schema.Properties, "process", "properties")},
		"rule":       {"version: 1\nnetwork_policies: {a: {zzzzzzzz: 1}}\n", keys(schema.Properties, "network_policies", "additionalProperties", "properties")},
		"endpoint":   {endpoint("zzzzzzzz: 1"), keys(schema.Defs["endpoint"], "properties")},
		"mcp":        {endpoint("protocol: mcp, mcp: {zzzzzzzz: 1}"), keys(schema.Defs["endpoint"], "properties", "mcp", "properties")},
		"limits":     {endpoint("limits: {zzzzzzzz: 1}"), keys(schema.Defs["limits"], "properties")},
		"nemoclaw":   {"version: 1\nnemoclaw: {zzzzzzzz: 1}\n", keys(schema.Defs["nemoclaw"], "properties")},
		"inference":  {"version: 1\nnemoclaw: {inference: {zzzzzzzz: 1}}\n", keys(schema.Defs["nemoclaw"], "properties", "inference", "properties")},
		"approvals":  {"version: 1\nnemoclaw: {approvals: {zzzzzzzz: 1}}\n", keys(schema.Defs["nemoclaw"], "properties", "approvals", "properties")},
		"gpu":        {"version: 1\nnemoclaw: {gpu: {zzzzzzzz: 1}}\n", keys(schema.Defs["nemoclaw"], "properties", "gpu", "properties")},
		"middleware": {"version: 1\nnetwork_middlewares: {a: {zzzzzzzz: 1}}\n", keys(schema.Properties, "network_middlewares", "additionalProperties", "properties")},
	} {
		_, _, err := policy.Parse("x", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), "known keys: "+c.want+"\n") {
			t.Errorf("%s: the decoder says\n%v\nthe schema has %s", name, err, c.want)
		}
	}
}
