package specedit

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/plan"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compares edited specs with testdata: NAME.before.json and
// NAME.plan.json give NAME.after.json.
func TestGolden(t *testing.T) {
	befores, err := filepath.Glob("testdata/*.before.json")
	if err != nil || len(befores) < 2 {
		t.Fatalf("golden inputs: %v, %v", befores, err)
	}
	for _, before := range befores {
		name := strings.TrimSuffix(filepath.Base(before), ".before.json")
		t.Run(name, func(t *testing.T) {
			spec, p := new(specs.Spec), new(plan.Plan)
			load(t, before, spec)
			load(t, "testdata/"+name+".plan.json", p)
			Apply(spec, p, Inputs{
				DefaultSeccomp: &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read", "execve"}, Action: specs.ActAllow}}},
				TrustMounts:    []TrustMount{{Source: "/run/x/ca.crt", Destination: "/dev/nemoclaw/ca.crt"}},
			})
			got, err := json.MarshalIndent(spec, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			after := "testdata/" + name + ".after.json"
			if *update {
				if err := os.WriteFile(after, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(after)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(want)) != string(got) {
				t.Errorf("%s differs from what Apply gives:\n%s", after, got)
			}
		})
	}
}

func load(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An exec that asks for everything gets no more than the plan has.
func TestApplyProcessNeverWidens(t *testing.T) {
	all := []string{"CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_NET_ADMIN"}
	p := &specs.Process{Capabilities: &specs.LinuxCapabilities{
		Bounding: all, Effective: all, Permitted: all, Inheritable: all, Ambient: all,
	}}
	ApplyProcess(p, &plan.Plan{Process: plan.Process{Capabilities: []string{"CAP_CHOWN"}}})
	c := p.Capabilities
	for name, set := range map[string][]string{"bounding": c.Bounding, "effective": c.Effective, "permitted": c.Permitted} {
		if !slices.Equal(set, []string{"CAP_CHOWN"}) {
			t.Errorf("%s: %v", name, set)
		}
	}
	if len(c.Inheritable)+len(c.Ambient) != 0 || !p.NoNewPrivileges {
		t.Errorf("inheritable %v, ambient %v, no_new_privs %v", c.Inheritable, c.Ambient, p.NoNewPrivileges)
	}
}

// A profile that refuses a call by name keeps its word.
func TestSeccompKeepsRefusals(t *testing.T) {
	spec := &specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{Seccomp: &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"landlock_restrict_self"}, Action: specs.ActKill}},
	}}}
	Apply(spec, &plan.Plan{Seccomp: plan.Seccomp{First: plan.EngineProfile}}, Inputs{})
	for _, rule := range spec.Linux.Seccomp.Syscalls {
		if rule.Action == specs.ActAllow && slices.Contains(rule.Names, "landlock_restrict_self") {
			t.Error("an ALLOW was added beside a refusal of the same call")
		}
	}
}
