package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

func testSettings() policy.Settings {
	s := policy.Settings{Registries: map[string][]policy.Destination{}}
	for _, k := range policy.RegistryKinds() {
		s.Registries[k] = []policy.Destination{{Host: k + ".mirror.example"}, {Host: "files." + k + ".mirror.example", Port: 8443}}
	}
	return s
}

// Each preset loads, lints clean, enforces, names binaries, and merges with all
// the others of its kind.
func TestPresetsAreClean(t *testing.T) {
	var readOnly, readWrite []string
	for _, p := range policy.PresetNames() {
		doc, err := policy.Preset(p.Name, testSettings())
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if doc.Preset.Description == "" {
			t.Errorf("%s has no description", p.Name)
		}
		if src, ok := policy.PresetSource(p.Name); ok {
			_, warnings, err := policy.Parse(p.Name, src)
			if err != nil || len(warnings) > 0 {
				t.Errorf("%s is not clean: %v %v", p.Name, err, warnings)
			}
			if !strings.HasPrefix(string(src), "# yaml-language-server: $schema=") {
				t.Errorf("%s does not name its schema", p.Name)
			}
		}
		for _, r := range doc.Network {
			if len(r.Binaries) == 0 {
				t.Errorf("%s names no binaries", p.Name)
			}
			for _, e := range r.Endpoints {
				if e.Enforcement != policy.EnforcementEnforce || !e.Protocol.Inspects() {
					t.Errorf("%s: %s is not enforced", p.Name, e.Host)
				}
			}
		}
		if strings.HasSuffix(p.Name, "-rw") {
			readWrite = append(readWrite, p.Name)
		} else {
			readOnly = append(readOnly, p.Name)
		}
	}
	for _, names := range [][]string{readOnly, readWrite} {
		doc, err := policy.Presets(names, testSettings())
		if err != nil {
			t.Errorf("merging %v: %v", names, err)
			continue
		}
		if _, err := policy.Compile(doc); err != nil {
			t.Errorf("compiling %v: %v", names, err)
		}
	}
}

// Each preset has its main call and a neighbour in testdata/decisions/presets.txt.
func TestEveryPresetHasDecisions(t *testing.T) {
	data, err := os.ReadFile("testdata/decisions/presets.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policy.PresetNames() {
		_, section, found := strings.Cut(string(data), "policy preset:"+p.Name+"\n")
		section, _, _ = strings.Cut(section, "policy ")
		if !found || !strings.Contains(section, "allow - ") || !strings.Contains(section, "deny ") {
			t.Errorf("%s has no allowed and refused call", p.Name)
		}
	}
}
