package policy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

const fromAnImage = `
version: 1
filesystem_policy:
  include_workdir: true
  read_only: [/usr, /opt/x]
  read_write: [/srv, /tmp]
process: {run_as_user: "0"}
network_policies:
  exact:
    endpoints:
      - {host: api.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only}
      - {host: audited.example.com, port: 443, protocol: rest, access: read-only}
      - {host: odd.example.com, ports: [443, 8080]}
      - {host: raw.example.com, port: 443, tls: skip}
    binaries: any
  refused:
    endpoints:
      - {host: "*.example.org", port: 443}
      - {host: 198.51.100.1, port: 443}
      - {port: 443, allowed_ips: [10.0.0.0/16]}
      - {host: db.internal, port: 443}
      - {host: db, port: 443}
      - {host: other.example.com, port: 22}
      - {host: voip.example.com, port: 443, protocol: udp}
    binaries: any
nemoclaw:
  capabilities: [NET_ADMIN]
  ingress: [{port: 8080}]
  approvals: {ask: public_hosts}
  inference: {routes: [local]}
  gpu: {count: 1}
  host_services: [{name: ollama.host, port: 11434}]
  credentials: [github]
`

// TestBuiltinCeiling holds "Public names" of the architecture: exact public
// hosts on 80 and 443, paths inside the image, enforced, nothing of the host.
func TestBuiltinCeiling(t *testing.T) {
	doc, _, err := policy.Parse("image", []byte(fromAnImage))
	if err != nil {
		t.Fatal(err)
	}
	narrow, clamps, err := policy.Narrow(doc, policy.BuiltinCeiling())
	if err != nil {
		t.Fatal(err)
	}
	m, err := policy.Compile(narrow)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		request string
		want    policy.Verdict
		treat   policy.Treatment
	}{
		{"GET https://api.example.com/x", policy.Allow, policy.TreatInspect},
		{"POST https://api.example.com/x", policy.Deny, policy.TreatNone},
		{"GET https://audited.example.com/x", policy.Allow, policy.TreatInspect},
		{"POST https://audited.example.com/x", policy.Deny, policy.TreatNone},
		{"CONNECT odd.example.com:443", policy.Allow, policy.TreatTerminate},
		{"CONNECT odd.example.com:8080", policy.Deny, policy.TreatNone},
		{"CONNECT raw.example.com:443", policy.Allow, policy.TreatTerminate},
		{"CONNECT a.example.org:443", policy.Deny, policy.TreatNone},
		{"CONNECT 198.51.100.1:443", policy.Deny, policy.TreatNone},
		{"CONNECT 10.0.0.1:443", policy.Deny, policy.TreatNone},
		{"CONNECT db.internal:443", policy.Deny, policy.TreatNone},
		{"CONNECT db:443", policy.Deny, policy.TreatNone},
		{"CONNECT other.example.com:22", policy.Deny, policy.TreatNone},
		{"UDP voip.example.com:443", policy.Deny, policy.TreatNone},
		{"CONNECT unnamed.example.com:443", policy.Deny, policy.TreatNone},
	} {
		r, err := parseRequest("/bin/a", strings.Fields(c.request))
		if err != nil {
			t.Fatal(err)
		}
		d := m.Decide(r)
		if d.Verdict != c.want || d.Treatment != c.treat {
			t.Errorf("%s: %s %s %s", c.request, d.Verdict, d.Reason, d.Treatment)
		}
		if d.Verdict != policy.Deny && d.Permits(netip.MustParseAddr("10.0.0.1")) {
			t.Errorf("%s may resolve to a private address", c.request)
		}
		if d.Verdict != policy.Deny && !d.Permits(netip.MustParseAddr("198.51.100.1")) {
			t.Errorf("%s may not resolve to a public address", c.request)
		}
	}
	for host, want := range map[string]policy.NameVerdict{"api.example.com": policy.NameAllowed, "odd.example.com": policy.NameAllowed, "db.internal": policy.NameDenied, "db": policy.NameDenied, "a.example.org": policy.NameDenied, "unnamed.example.com": policy.NameDenied, "10.0.0.1": policy.NameDenied} {
		if got := m.Name(host); got != want {
			t.Errorf("DNS says %v of %s", got, host)
		}
	}
	checkNarrowedSections(t, narrow)
	for _, want := range []string{"*.example.org:[443] is gone", "only the ports [443] stay", "raw.example.com:[443] is looked into", "audited.example.com:[443] is enforced", "capability CAP_NET_ADMIN is gone", "host service ollama.host:11434 is gone", "credential github is gone", "gpu is gone", "ingress on port 8080 is gone", "approvals are gone"} {
		if !slices.ContainsFunc(clamps, func(c policy.Clamp) bool { return strings.Contains(c.What, want) && c.At.Line > 0 }) {
			t.Errorf("no clamp says %q: %v", want, clamps)
		}
	}
}

func checkNarrowedSections(t *testing.T, d *policy.Document) {
	t.Helper()
	f := d.EffectiveFilesystem()
	for path, want := range map[string]policy.FileAccess{"/usr/x": policy.FileRead, "/srv/x": policy.FileWrite, "/etc/x": policy.FileRead, "/root": policy.FileNone} {
		if got := f.Access(path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	x := d.Nemoclaw
	if len(x.Capabilities)+len(x.Ingress)+len(x.HostServices)+len(x.Credentials) > 0 || x.GPU != nil || x.Approvals != nil {
		t.Errorf("something of the host is left: %+v", x)
	}
	if x.Inference == nil || len(x.Inference.Routes) != 1 {
		t.Errorf("the route is gone: %+v", x.Inference)
	}
}

// An operator's ceiling bounds what it names, and takes what it does not.
func TestOperatorsCeiling(t *testing.T) {
	doc, _, err := policy.Parse("p", []byte(fromAnImage))
	if err != nil {
		t.Fatal(err)
	}
	ceiling, _, err := policy.Parse("c", []byte(`
version: 1
filesystem_policy: {read_only: [/usr], read_write: [/srv/data]}
landlock: {compatibility: hard_requirement}
process: {run_as_user: "1000"}
network_policies:
  all:
    endpoints: [{host: api.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: "/public/**"}}]}]
    binaries: [{path: /usr/bin/curl}]
nemoclaw:
  capabilities: [CAP_NET_ADMIN]
  ingress: [{port: 8080, from: [10.0.0.0/8]}]
  gpu: {count: 0}
  limits: {connections: 5}
  inference: {routes: [cloud], max_class: internal, budget: {tokens_per_day: 10}}
  workspace: transactional
`))
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := policy.Narrow(doc, ceiling)
	if err != nil {
		t.Fatal(err)
	}
	f := n.EffectiveFilesystem()
	if f.IncludeWorkdir || f.Access("/srv") != policy.FileNone || f.Access("/srv/data/x") != policy.FileWrite || f.Access("/opt/x") != policy.FileNone {
		t.Errorf("%+v", f)
	}
	x := n.Nemoclaw
	if n.Landlock.Compatibility != policy.HardRequirement || n.Process.RunAsUser != "1000" || len(x.Capabilities) != 1 || len(x.Ingress) != 0 || x.GPU.Count != 0 ||
		x.Limits.Connections != 5 || len(x.Inference.Routes) != 0 || x.Inference.MaxClass != "internal" || x.Inference.TokensPerDay != 10 || !x.Workspace.Transactional {
		t.Errorf("%+v %+v", n, x)
	}
	m, err := policy.Compile(n)
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]policy.Verdict{
		"/usr/bin/curl GET https://api.example.com/public/x":  policy.Allow,
		"/usr/bin/curl GET https://api.example.com/private/x": policy.Deny,
		"/usr/bin/wget GET https://api.example.com/public/x":  policy.Deny,
		"/usr/bin/curl GET https://audited.example.com/x":     policy.Deny,
	} {
		words := strings.Fields(request)
		r, err := parseRequest(words[0], words[1:])
		if err != nil {
			t.Fatal(err)
		}
		if d := m.Decide(r); d.Verdict != want {
			t.Errorf("%s: %s %s", request, d.Verdict, d.Reason)
		}
	}
	found, err := policy.Prove(n, ceiling)
	if err != nil || found != nil {
		t.Errorf("the result is not within the ceiling: %v %+v", err, found)
	}
}
