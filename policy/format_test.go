package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

// What Format writes, Parse reads, and it decides the same: the second writing
// is equal to the first but for the origins.
func TestFormatRoundTrip(t *testing.T) {
	files, _ := filepath.Glob("testdata/policies/*/*.yaml")
	presets, _ := filepath.Glob("presets/*.yaml")
	for _, file := range append(files, presets...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, _, err := policy.Parse(file, fillTemplate(data))
		if err != nil {
			t.Fatal(err)
		}
		once := policy.Format(doc)
		again, _, err := policy.Parse("formatted", once)
		if err != nil {
			t.Errorf("%s: %v\n%s", file, err, once)
			continue
		}
		if a, b := withoutOrigins(string(once)), withoutOrigins(string(policy.Format(again))); a != b {
			t.Errorf("%s changes when it is written again:\n%s\n---\n%s", file, a, b)
		}
	}
}

func withoutOrigins(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i], _, _ = strings.Cut(l, "  # ")
	}
	return strings.Join(lines, "\n")
}

// A plan carries documents as JSON: nothing may get lost.
func TestDocumentSurvivesJSON(t *testing.T) {
	for _, name := range []string{"ours/rest.yaml", "ours/protocols.yaml", "nemoclaw/openclaw-sandbox.yaml"} {
		doc, _, err := policy.Narrow(loadTestPolicy(t, name), policy.BuiltinCeiling())
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var back policy.Document
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if string(policy.Format(&back)) != string(policy.Format(doc)) || back.Digest() != doc.Digest() {
			t.Errorf("%s is another document after JSON", name)
		}
	}
}
