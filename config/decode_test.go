package config

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

const full = `
run_dir: /run/nc
state_dir: /var/lib/nc
log_dir: /var/log/nc
policy_dir: /etc/nc/policies
libexec_dir: /opt/nc
default_policy: /etc/nc/default.yaml
ceiling: /etc/nc/ceiling.yaml
image_policy: ignore
on_unenforceable: warn
uid_base: 0x70000000
dns:
  servers: [9.9.9.9, "[2620:fe::fe]:5353"]
  pool: 28.200.0.0/16
tls: {upstream_ca_file: /etc/ssl/own.pem}
images:
  - {image: openclaw, policy: openclaw}
  - image: ghcr.io/acme/*
    policy: /etc/nc/acme.yaml
allow:
  host_network: true
  capabilities: [CAP_SYS_PTRACE]
`

func TestParseFull(t *testing.T) {
	got, err := Parse("c.yaml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		RunDir: "/run/nc", StateDir: "/var/lib/nc", LogDir: "/var/log/nc", PolicyDir: "/etc/nc/policies",
		LibexecDir: "/opt/nc", DefaultPolicy: "/etc/nc/default.yaml", Ceiling: "/etc/nc/ceiling.yaml",
		ImagePolicy: ImagePolicyIgnore, OnUnenforceable: Warn, UIDBase: 0x70000000,
		DNS: DNS{
			Servers: []netip.AddrPort{netip.MustParseAddrPort("9.9.9.9:53"), netip.MustParseAddrPort("[2620:fe::fe]:5353")},
			Pool:    netip.MustParsePrefix("28.200.0.0/16"),
		},
		TLS: TLS{UpstreamCAFile: "/etc/ssl/own.pem"},
		Images: []ImageRule{
			{Image: "openclaw", Policy: "openclaw", Line: 17},
			{Image: "ghcr.io/acme/*", Policy: "/etc/nc/acme.yaml", Line: 18},
		},
		Allow:  Allow{HostNetwork: true, Capabilities: []string{"CAP_SYS_PTRACE"}},
		Source: "c.yaml",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseEmptyIsDefault(t *testing.T) {
	want := Default()
	want.Source = "c.yaml"
	for _, text := range []string{"", "# only a comment\n", "---\n", "dns:\ntls:\n"} {
		got, err := Parse("c.yaml", []byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// TestParseErrors pins what a person reads: the place, the fault, the fix.
func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"run_dri: /x", `c.yaml:1:1: unknown key "run_dri" in the configuration; did you mean run_dir?`},
		{"dns:\n  port: 53", `c.yaml:2:3: unknown key "port" in dns; known are pool, servers`},
		{"run_dir: run", `c.yaml:1:10: path "run" is not absolute; write it from /`},
		{"run_dir: /a/../b", `c.yaml:1:10: path "/a/../b" is not a clean path below /; write it without .., //, a closing slash, or as /`},
		{"run_dir: /", `c.yaml:1:10: path "/" is not a clean path below /; write it without .., //, a closing slash, or as /`},
		{"run_dir: 7", `c.yaml:1:10: expected text, found a number; quote it if it is meant as text`},
		{"run_dir:", `c.yaml:1:10: expected text, found nothing; give it a value or remove the key`},
		{"run_dir: /a\nrun_dir: /b", `c.yaml:2:1: it is not YAML: mapping key "run_dir" already defined at [1:1]`},
		{"image_policy: maybe", `c.yaml:1:15: unknown value "maybe"; use honour, signed, ignore`},
		{"allow:\n  privileged: yes", `c.yaml:2:15: expected true or false, found text; write true or false`},
		{"allow:\n  capabilities: CAP_KILL", `c.yaml:2:17: expected a list, found text; write a list: [a, b]`},
		{"allow:\n  capabilities: [SYS_ADMIN]", `c.yaml:2:18: unknown capability "SYS_ADMIN"; write it as CAP_SYS_ADMIN; see capabilities(7)`},
		{"uid_base: 1000", `c.yaml:1:11: unfit first uid; write a number from 65536 to 4294901759`},
		{"uid_base: -1", `c.yaml:1:11: unfit first uid; write a number from 65536 to 4294901759`},
		{"dns: {servers: [dns.example]}", `c.yaml:1:17: "dns.example" is no resolver's address; write an address, 9.9.9.9, or address and port, 9.9.9.9:53`},
		{"dns: {pool: 10.0.0.1/8}", `c.yaml:1:13: "10.0.0.1/8" is no fit address block; write an IPv4 block from /8 to /24, as 28.192.0.0/16`},
		{"dns: {pool: 127.0.0.0/8}", `c.yaml:1:13: block 127.0.0.0/8 has a meaning of its own; take a block of ordinary addresses that nothing here needs`},
		{"images: [{image: a}]", `c.yaml:1:10: an image rule needs both image and policy; write {image: GLOB, policy: NAME}`},
		{"images: [{image: 'a[', policy: b}]", `c.yaml:1:18: image pattern "a[" is malformed; close its brackets`},
		{"images: [{image: a, policy: ../b}]", `c.yaml:1:29: unfit policy name "../b"; write a name in policy_dir or an absolute path`},
		{"a: &x 1", `c.yaml:1:1: unknown key "a" in the configuration; known are`},
		{"run_dir: &x /a", `c.yaml:1:10: expected text, found an anchor (&), which is not taken here; quote it`},
		{"run_dir: !!str /a", `c.yaml:1:10: expected text, found a tag (!), which is not taken here; quote it`},
		{"<<: {run_dir: /a}", `c.yaml:1:1: a key of the configuration is a merge key (<<), which is not taken here; write it out`},
		{"- a", `c.yaml:1:1: the configuration is a list, not a mapping; write key: value lines`},
		{"run_dir: /a\n---\nrun_dir: /b", `c.yaml:3:8: the file holds a second YAML document; put all of it into the first`},
		{"run_dir: [", `c.yaml:1:10: it is not YAML: `},
		{"\x1b[31m: 1", "c.yaml:1:1: "},
	} {
		_, err := Parse("c.yaml", []byte(tc.text))
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q:\n got %v\nwant %s", tc.text, err, tc.want)
			continue
		}
		if strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%q: the error drives the terminal: %q", tc.text, err)
		}
	}
}

func TestParseReportsAllFaults(t *testing.T) {
	_, err := Parse("c.yaml", []byte("run_dri: /x\nimage_policy: maybe\nallow: {privileged: 1}\n"))
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d faults reported, want 3:\n%v", n, err)
	}
}

func TestShow(t *testing.T) {
	_, err := Parse("c.yaml", []byte("# x\ndns:\n  port: 53\n"))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	want := "    3 |   port: 53\n          ^\n"
	if got := e.Show(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("a: [&x {b: *x}]\n? - k\n: v\n<<: *x"))
	f.Add([]byte("run_dir: |\n  /a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("c.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err != nil {
			for _, r := range err.Error() {
				if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
					t.Fatalf("error holds control characters: %q", err)
				}
			}
		}
	})
}
