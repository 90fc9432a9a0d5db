package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

// facts are those of a plain container on a good kernel.
func facts() Facts {
	return Facts{
		ID: "c1", Bundle: "/b", Root: "/b/rootfs", LandlockABI: 7, RefuseUnenforceable: true,
		SupervisorUIDs: UIDRange{First: 0x78000000, Count: 65536},
		Spec: Spec{
			Cwd: "/work", Network: NamespaceNew, PID: NamespaceNew, Mount: NamespaceNew, MaskedPaths: 8,
			Capabilities: []string{"CAP_CHOWN", "CAP_NET_RAW"}, PrivateDev: true,
		},
	}
}

func parse(t *testing.T, text string) *policy.Document {
	t.Helper()
	doc, _, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func resolve(t *testing.T, text string, change func(*Facts)) (*Plan, error) {
	t.Helper()
	in := &Input{Effective: policy.Builtin(), Facts: facts()}
	if text != "" {
		in.Effective = parse(t, text)
	}
	if change != nil {
		change(&in.Facts)
	}
	return Resolve(in)
}

func rule(p *Plan, path string) *PathRule {
	for i, r := range p.Filesystem.Rules {
		if r.Path == path {
			return &p.Filesystem.Rules[i]
		}
	}
	return nil
}

func TestBuiltinPolicy(t *testing.T) {
	p, err := resolve(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Access{"/": ReadOnly, "/tmp": ReadWrite, "/work": ReadWrite, "/dev/null": Device} {
		if r := rule(p, path); r == nil || r.Access != want {
			t.Errorf("%s: %+v, want %s", path, r, want)
		}
	}
	if len(p.Process.Capabilities) != 0 || !p.Network.Policed || p.Network.Fence != FenceNew || len(p.Network.Rules) != 0 {
		t.Errorf("process %+v, network %+v", p.Process, p.Network)
	}
	if p.Trust.Certificate != "" || len(p.Weaker) != 0 {
		t.Errorf("trust %+v, weaker %+v", p.Trust, p.Weaker)
	}
}

// A work directory of / would make all of the root writable.
func TestWorkdirIsNeverTheRoot(t *testing.T) {
	for _, cwd := range []string{"/", "", "//", "/x/.."} {
		p, err := resolve(t, "", func(f *Facts) { f.Spec.Cwd = cwd })
		if err != nil {
			t.Fatal(err)
		}
		if r := rule(p, "/"); r.Access != ReadOnly {
			t.Errorf("cwd %q: %+v", cwd, r)
		}
	}
}

func TestResolveIsDeterministic(t *testing.T) {
	const text = `
version: 1
filesystem_policy: {include_workdir: true, read_only: [/usr, /work/keys], read_write: [/tmp, /work]}
network_policies:
  a: {endpoints: [{host: a.example.com, port: 443}], binaries: any}
nemoclaw: {capabilities: [CHOWN], ingress: [{port: 80}]}
`
	var first []byte
	for range 20 {
		p, err := resolve(t, text, func(f *Facts) { f.Engine.Published = []uint16{8080, 80} })
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
		}
		if !bytes.Equal(first, got) {
			t.Fatalf("two plans of one input differ:\n%s\n%s", first, got)
		}
	}
}

func TestPolicyIntoPlan(t *testing.T) {
	p, err := resolve(t, `
version: 1
filesystem_policy:
  include_workdir: false
  read_only: [/usr, /data/ro, /proc/self]
  read_write: [/data]
network_policies:
  api: {endpoints: [{host: api.example.com, port: 443}], binaries: any}
nemoclaw:
  capabilities: [CHOWN, KILL]
  ingress: [{port: 18789}]
`, func(f *Facts) {
		f.Engine.Published = []uint16{8080}
		f.TrustBundles = []string{"/etc/ssl/certs/ca-certificates.crt"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Filesystem.ReadOnlyMounts; len(got) != 1 || got[0].Path != "/data/ro" || got[0].From.At != "policy.yaml:5" {
		t.Errorf("read-only mounts: %+v", got)
	}
	if !slices.Equal(p.Process.Capabilities, []string{"CAP_CHOWN"}) {
		t.Errorf("capabilities: %v; the bundle has no KILL", p.Process.Capabilities)
	}
	if len(p.Network.Ingress) != 2 || p.Network.Ingress[0].Port != 8080 || p.Network.Ingress[1].From.At != "policy.yaml:11" {
		t.Errorf("ingress: %+v", p.Network.Ingress)
	}
	if rule(p, "/proc/self") != nil || rule(p, "/proc") == nil || len(p.Weaker) != 1 || !strings.Contains(p.Weaker[0].What, "/proc/self") {
		t.Errorf("/proc/self: weaker %+v", p.Weaker)
	}
	if rule(p, "/work") != nil {
		t.Error("the work directory is writable without include_workdir")
	}
	want := []string{"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "NODE_EXTRA_CA_CERTS=/dev/nemoclaw/ca.crt"}
	for _, kv := range want {
		if !slices.Contains(p.Process.Environment, kv) {
			t.Errorf("environment %v lacks %s", p.Process.Environment, kv)
		}
	}
}

// What an operator mounts is granted at the mount's mode; an image's VOLUME and
// the kernel's own file systems are not.
func TestMounts(t *testing.T) {
	p, err := resolve(t, "version: 1\nfilesystem_policy: {read_only: [/usr]}\n", func(f *Facts) {
		f.Spec.Mounts = []Mount{
			{Destination: "/data", Type: "bind", Operator: true},
			{Destination: "/conf", Type: "bind", Operator: true, ReadOnly: true},
			{Destination: "/volume", Type: "bind"},
			{Destination: "/proc", Type: "proc", Operator: true},
			{Destination: "/etc/hosts", Type: "bind"},
			{Destination: "/", Type: "bind", Operator: true},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Access{"/data": ReadWrite, "/conf": ReadOnly, "/etc/hosts": ReadOnly}
	for path, access := range want {
		if r := rule(p, path); r == nil || r.Access != access {
			t.Errorf("%s: %+v, want %s", path, r, access)
		}
	}
	for _, path := range []string{"/volume", "/proc", "/"} {
		if r := rule(p, path); r != nil {
			t.Errorf("%s is granted: %+v", path, r)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy string
		change func(*Facts)
		want   string // "" : not refused
	}{
		{"host network", "", func(f *Facts) { f.Spec.Network = NamespaceHost }, "host's network"},
		{"host network, allowed", "", func(f *Facts) { f.Spec.Network = NamespaceHost; f.Allow.HostNetwork = true }, ""},
		{"unfenced neighbour", "", func(f *Facts) { f.Spec.Network = NamespacePath; f.Spec.SharesUnfencedNetwork = 7 }, "without a fence"},
		{"fenced neighbour", "", func(f *Facts) { f.Spec.Network = NamespacePath }, ""},
		{"host pid", "", func(f *Facts) { f.Spec.PID = NamespaceHost }, "--pid=host"},
		{"no mount namespace", "", func(f *Facts) { f.Spec.Mount = NamespaceHost }, "mount namespace"},
		{"privileged", "", func(f *Facts) { f.Engine = Engine{Name: "docker", Privileged: true} }, "privileged"},
		{"privileged bundle", "", func(f *Facts) { f.Spec.AllDevices = true; f.Spec.Capabilities = []string{"CAP_SYS_ADMIN"} }, "privileged"},
		{"seccomp unconfined", "", func(f *Facts) { f.Engine = Engine{Name: "docker", SecurityOptions: []string{"seccomp=unconfined"}} }, "seccomp=unconfined"},
		{"system paths unconfined", "", func(f *Facts) { f.Engine.Name = "docker"; f.Spec.MaskedPaths = 0 }, "systempaths"},
		{"net admin", "", func(f *Facts) { f.Spec.Capabilities = []string{"CAP_NET_ADMIN"} }, "CAP_NET_ADMIN"},
		{"net admin, allowed", "", func(f *Facts) {
			f.Spec.Capabilities = []string{"CAP_NET_ADMIN"}
			f.Allow.Capabilities = []string{"CAP_NET_ADMIN"}
		}, ""},
		{"engine's default set", "", func(f *Facts) { f.Spec.Capabilities = slices.Clone(engineDefault) }, ""},
		{"engine socket", "", func(f *Facts) { f.Spec.Mounts = []Mount{{Destination: "/s", EngineSocket: true}} }, "engine"},
		{"host proc", "", func(f *Facts) { f.Spec.Mounts = []Mount{{Destination: "/p", HostProc: true}} }, "kernel"},
		{"supervisor's uid", "", func(f *Facts) { f.Spec.UID = 0x78000001 }, "supervisors"},
		{"no Landlock", "", func(f *Facts) { f.LandlockABI = 0 }, "without Landlock"},
		{"no Landlock, warned", "", func(f *Facts) { f.LandlockABI = 0; f.RefuseUnenforceable = false }, ""},
		{"old Landlock, hard", "version: 1\nlandlock: {compatibility: hard_requirement}\n", func(f *Facts) { f.LandlockABI = 2 }, "hard_requirement"},
		{"unknown user", "version: 1\nprocess: {run_as_user: claw}\n", func(f *Facts) { f.RunAs.Problem = "no such user" }, "no such user"},
		{"capability of the policy", "version: 1\nnemoclaw: {capabilities: [SYS_ADMIN]}\n", nil, "CAP_SYS_ADMIN"},
		{"not enforced yet", "version: 1\nnemoclaw: {gpu: {count: 1}}\n", nil, "nemoclaw.gpu"},
		{"protocol of later work", "version: 1\nnetwork_policies: {m: {endpoints: [{host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {method: \"*\"}}]}], binaries: any}}\n", nil, "protocol: mcp"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := resolve(t, tc.policy, tc.change)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var refusal *Refusal
			if p != nil || !errors.As(err, &refusal) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, %v; want a refusal with %q", p, err, tc.want)
			}
		})
	}
}

// What is not refused but weaker says so.
func TestWeakerIsNeverSilent(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"no Landlock":  func(f *Facts) { f.LandlockABI = 0; f.RefuseUnenforceable = false },
		"ABI 2":        func(f *Facts) { f.LandlockABI = 2 },
		"host network": func(f *Facts) { f.Spec.Network = NamespaceHost; f.Allow.HostNetwork = true },
	} {
		p, err := resolve(t, "", change)
		if err != nil || len(p.Weaker) == 0 {
			t.Errorf("%s: weaker %+v, %v", name, p, err)
		}
	}
}

func TestUnknownOriginIsUntrusted(t *testing.T) {
	for origin, want := range map[Origin]bool{
		FromAnnotation: false, FromRunLabel: false, FromImageMap: false, FromHost: false, FromBuiltin: false,
		FromImageLabel: true, FromImageFile: true, Origin(""): true, Origin("x"): true,
	} {
		if got := origin.Untrusted(); got != want {
			t.Errorf("%q: %v, want %v", origin, got, want)
		}
	}
}

// What comes with another's IPC namespace is said.
func TestForeignIPCIsWeaker(t *testing.T) {
	for from, want := range map[Namespace]int{NamespaceNew: 0, NamespaceHost: 1, NamespacePath: 1} {
		p, err := resolve(t, "", func(f *Facts) { f.Spec.IPC = from })
		if err != nil || len(p.Weaker) != want {
			t.Errorf("%s: %v, %v", from, p.Weaker, err)
		}
	}
}
