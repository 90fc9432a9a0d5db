package broker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

const testPolicy = `version: 1
network_policies:
  web:
    endpoints:
      - {host: www.example.test, ports: [80, 443], protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: "/ok/**"}}, {allow: {method: POST, path: "/ok/**"}}]}
      - {host: audit.example.test, port: 80, protocol: rest, enforcement: audit, rules: [{allow: {method: GET, path: "/ok/**"}}]}
      - {host: "198.51.100.2", port: 8080, protocol: rest, enforcement: enforce, access: read-only}
      - {host: "**.wild.test", ports: [80], protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: /usr/bin/curl}]
  guarded:
    endpoints:
      - {host: loop.example.test, port: 80}
      - {host: meta.example.test, port: 80}
      - {host: host.example.test, port: 80}
      - {host: mixed.example.test, port: 80}
      - {host: nx.example.test, port: 80}
    binaries: any
  free:
    endpoints:
      - {host: l4.example.test, ports: [80, 443]}
      - {host: first.example.test, port: 2525}
      - {host: raw.example.test, port: 9000, protocol: tcp}
      - {host: skip.example.test, port: 443, tls: skip}
    binaries: any
`

func TestSandbox(t *testing.T) {
	for _, own := range []bool{false, true} {
		name := "none"
		if own {
			name = "own network"
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, testPolicy, own)
			from := hostAddr
			if own {
				from = agentAddr
			}
			t.Run("allowed", func(t *testing.T) { testAllowed(t, w, from) })
			t.Run("denied", func(t *testing.T) { testDenied(t, w) })
			t.Run("L4", func(t *testing.T) { testL4(t, w) })
			t.Run("guard", func(t *testing.T) { testGuard(t, w) })
			t.Run("policy.local", func(t *testing.T) { testPolicyLocal(t, w) })
			if own {
				t.Run("ingress", func(t *testing.T) { testIngress(t, w) })
			} else {
				t.Run("memory", func(t *testing.T) { testMemory(t, w) })
			}
			t.Run("supervisor killed", func(t *testing.T) { testSupervisorKilled(t, w) })
			if own {
				t.Run("ingress, with the second supervisor", func(t *testing.T) { testIngress(t, w) })
			}
			t.Run("last one out", func(t *testing.T) { testLastOut(t, w) })
		})
	}
}

func testAllowed(t *testing.T, w *world, from string) {
	for _, url := range []string{"http://www.example.test/ok/a?b=c", "https://www.example.test/ok/a?b=c"} {
		body, status := w.curl(url)
		if status != 200 || !strings.HasPrefix(body, "GET www.example.test/ok/a?b=c") || !strings.Contains(body, "from="+from) {
			t.Errorf("%s: %d %s", url, status, body)
		}
		body, status = w.curl("--data-binary", "@"+w.roots, url)
		if status != 200 || !strings.Contains(body, fmt.Sprintf("body=%d", len(w.ca.pem))) {
			t.Errorf("POST %s: %d %s", url, status, body)
		}
		if body, status = w.curl("-H", "Transfer-Encoding: chunked", "-d", "hello", url); status != 200 || !strings.Contains(body, "body=5") {
			t.Errorf("chunked POST %s: %d %s", url, status, body)
		}
	}
	if body, status := w.curl("http://audit.example.test/elsewhere"); status != 200 {
		t.Errorf("audited: %d %s", status, body)
	}
	if !w.recorded(audit.KindRequest, "audit", "path_not_allowed", "audit.example.test") {
		t.Error("what was only audited is not recorded so")
	}
	if body, status := w.curl("http://198.51.100.2:8080/x"); status != 200 {
		t.Errorf("literal address: %d %s", status, body)
	}
	if body, status := w.curl("http://any.wild.test/x"); status != 200 {
		t.Errorf("wildcard: %d %s", status, body)
	}
}

func testDenied(t *testing.T, w *world) {
	var d struct {
		Error, Reason, Rule, At string
		RequestID               string   `json:"request_id"`
		NextSteps               []string `json:"next_steps"`
	}
	for _, tt := range []struct {
		reason string
		args   []string
	}{
		{"path_not_allowed", []string{"http://www.example.test/no"}},
		{"path_not_allowed", []string{"https://www.example.test/no"}},
		{"path_not_allowed", []string{"-L", "http://www.example.test/ok/redirect"}},
		{"method_not_allowed", []string{"-X", "DELETE", "https://www.example.test/ok/a"}},
		{"name_mismatch", []string{"-H", "Host: evil.example.test", "https://www.example.test/ok/a"}},
		{"name_mismatch", []string{"-H", "Host: evil.example.test", "http://l4.example.test/"}},
		{"name_mismatch", []string{"-H", "Host: evil.example.test", "https://l4.example.test/"}},
		{"port_not_allowed", []string{"http://198.51.100.2/x"}},
		{"no_rule_for_host", []string{"http://203.0.113.9/x"}},
		{"port_not_allowed", []string{"http://www.example.test:8080/ok/a"}},
		{"method_not_allowed", []string{"-d", "x", "http://198.51.100.2:8080/x"}},
	} {
		body, status := w.curl(tt.args...)
		d.Reason = ""
		if err := json.Unmarshal([]byte(body), &d); status != 403 || err != nil || d.Error != "policy_denied" || d.Reason != tt.reason || d.RequestID == "" || len(d.NextSteps) == 0 {
			t.Errorf("%q: %d %s", tt.args, status, body)
		}
	}
	if _, status := w.run("curl", "-sS", "http://elsewhere.example.test/"); status != 6 {
		t.Errorf("a name that policy does not know: curl's status is %d", status)
	}
	if w.queries.has("elsewhere.example.test.") || w.queries.has("evil.example.test.") {
		t.Error("a name that policy does not know was asked for outside")
	}
	if !w.recorded(audit.KindDNS, "deny", "no_rule_for_host", "elsewhere.example.test") {
		t.Error("a refused name is not recorded")
	}
	if _, status := w.run("curl", "-sSk", "--connect-to", "evil.example.test:443:www.example.test:443", "https://evil.example.test/ok/a"); status != 35 {
		t.Errorf("another server name: curl's status is %d", status)
	}
	if out, _ := w.run("busybox", "wget", "-qO-", "http://www.example.test/ok/a"); strings.Contains(out, "GET") {
		t.Errorf("another program is served: %s", out)
	}
	if !w.recorded(audit.KindConnect, "deny", "binary_not_allowed", "www.example.test") {
		t.Error("another program's connection is not recorded")
	}
	if !w.own { // where everything leads to lo, IPv6 does too
		if body, status := w.curl("http://[2001:db8::5]/x"); status != 403 || !strings.Contains(body, "no_rule_for_host") {
			t.Errorf("IPv6: %d %s", status, body)
		}
		if out, status := w.run("dig", "+short", "+tries=1", "@2001:db8::53", "www.example.test"); status != 0 || !strings.HasPrefix(out, "28.192.") {
			t.Errorf("dig over IPv6: %d %q", status, out)
		}
	}
	if out, status := w.run("dig", "+short", "+tries=1", "@8.8.8.8", "www.example.test"); status != 0 || !strings.HasPrefix(out, "28.192.") {
		t.Errorf("dig: %d %q", status, out)
	}
	if out, _ := w.run("dig", "+tcp", "+tries=1", "@8.8.8.8", "nobody.example.test"); !strings.Contains(out, "NXDOMAIN") || !strings.Contains(out, "EDE: 15") {
		t.Errorf("dig: %q", out)
	}
}

func testL4(t *testing.T, w *world) {
	for _, url := range []string{"http://l4.example.test/any", "https://l4.example.test/any"} {
		if body, status := w.curl("-X", "DELETE", url); status != 200 {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
	if body, status := w.curl("--cacert", w.roots, "https://skip.example.test/any"); status != 200 {
		t.Errorf("tls: skip: %d %s", status, body)
	}
	if _, status := w.run("curl", "-sSk", "--connect-to", "evil.example.test:443:skip.example.test:443", "https://evil.example.test/"); status == 0 {
		t.Error("tls: skip passes another server name on")
	}
	if out, _ := w.run("sh", "-c", "printf 'hello' | busybox nc -w 3 raw.example.test 9000"); out != "hello" {
		t.Errorf("tcp: %q", out)
	}
	if out, _ := w.run("sh", "-c", "(sleep 1; printf 'EHLO x\\r\\n') | busybox nc -w 3 first.example.test 2525"); out != "220 ready\r\nEHLO x\r\n" {
		t.Errorf("server first: %q", out)
	}
	if out, _ := w.run("sh", "-c", "printf 'binary\\001\\n' | busybox nc -w 3 first.example.test 2525"); out != "220 ready\r\nbinary\x01\n" {
		t.Errorf("client first: %q", out)
	}
}

func testGuard(t *testing.T, w *world) {
	for _, tt := range []struct {
		host, reason string
		status       int
	}{
		{"loop.example.test", "address_always_refused", 403},
		{"meta.example.test", "address_always_refused", 403},
		{"host.example.test", "address_always_refused", 403},
		{"mixed.example.test", "address_always_refused", 403},
		{"corp.wild.test", "address_not_allowed", 403},
		{"nx.example.test", "name_not_resolved", 502},
	} {
		body, status := w.curl("http://" + tt.host + "/")
		if status != tt.status || !strings.Contains(body, tt.reason) {
			t.Errorf("%s: %d %s", tt.host, status, body)
		}
		if !w.recorded(audit.KindConnect, "deny", tt.reason, tt.host) {
			t.Errorf("%s: not recorded", tt.host)
		}
	}
}

func testPolicyLocal(t *testing.T, w *world) {
	body, status := w.curl("http://policy.local/")
	var v struct {
		Sandbox, Policy, Digest string
		Network                 []any
	}
	if err := json.Unmarshal([]byte(body), &v); status != 200 || err != nil || v.Sandbox != "c1" || len(v.Network) != 3 || v.Digest == "" {
		t.Errorf("%d %v %s", status, err, body)
	}
}

// pss gives a process's proportional set size in KiB (proc_pid_smaps(5)).
func pss(t *testing.T, pid int) (total int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	check(t, err)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "Pss:") {
			fmt.Sscanf(line, "Pss: %d", &total)
		}
	}
	return total
}

func testMemory(t *testing.T, w *world) {
	time.Sleep(11 * time.Second) // quiet, and a tick of the clock
	b, s := pss(t, w.started.BrokerPID), pss(t, w.started.SupervisorPID)
	t.Logf("PSS: broker %d KiB, supervisor %d KiB", b, s)
	if b+s > 15<<10 {
		t.Errorf("broker and supervisor take %d KiB, more than 15 MiB", b+s)
	}
}

func testSupervisorKilled(t *testing.T, w *world) {
	before, _ := w.run("dig", "+short", "www.example.test")
	check(t, unix.Kill(w.started.SupervisorPID, unix.SIGKILL))
	began := time.Now()
	var st *sandbox.Status
	for {
		r, err := w.slot.Ask(&sandbox.Request{Verb: sandbox.VerbStatus})
		check(t, err)
		if st = r.Status; st.SupervisorPID != 0 && st.SupervisorPID != w.started.SupervisorPID {
			break
		}
		if time.Since(began) > time.Second {
			t.Fatal("no new supervisor within a second")
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("a new supervisor after %s", time.Since(began))
	w.started.SupervisorPID = st.SupervisorPID
	if after, _ := w.run("dig", "+short", "www.example.test"); after != before || before == "" {
		t.Errorf("the name's address was %q and is %q", before, after)
	}
	if body, status := w.curl("https://www.example.test/ok/again"); status != 200 {
		t.Errorf("with the old authority: %d %s", status, body)
	}
	if body, status := w.curl("http://www.example.test/no"); status != 403 {
		t.Errorf("policy after the restart: %d %s", status, body)
	}
	if !w.recorded(audit.KindSupervisor, "ok", "", "") || st.Restarts != 1 {
		t.Errorf("the restart is not recorded: %+v", st)
	}
}

func testLastOut(t *testing.T, w *world) {
	r, err := w.slot.Ask(&sandbox.Request{Verb: sandbox.VerbRemove, ID: "c1"})
	check(t, err)
	if r.Left != 0 {
		t.Errorf("%d containers are left", r.Left)
	}
	waitGone(t, w.started.SupervisorPID)
	if err := w.broker.Wait(); err != nil {
		t.Errorf("the broker: %v", err)
	}
	if _, err := os.Stat(w.slot.ControlSocket()); err == nil {
		t.Error("the control socket is still there")
	}
	check(t, w.slot.EndProcesses())
	for _, dir := range cgroupsOf(w) {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("cgroup %s is still there", dir)
		}
	}
	if _, status := w.run("curl", "-sS", "--max-time", "3", "http://198.51.100.2:8080/x"); status == 0 {
		t.Error("the network is open without a supervisor")
	}
}

func cgroupsOf(w *world) []string {
	base := "/nemoclaw.slice/" + fmt.Sprint(w.slot.Number)
	return []string{"/sys/fs/cgroup" + base, "/sys/fs/cgroup/unified" + base, "/sys/fs/cgroup/systemd" + base}
}

func TestBrokerKilled(t *testing.T) {
	w := newWorld(t, testPolicy, false)
	if _, status := w.curl("http://www.example.test/ok/a"); status != 200 {
		t.Fatal("it does not work to begin with")
	}
	check(t, unix.Kill(w.started.BrokerPID, unix.SIGKILL))
	waitGone(t, w.started.SupervisorPID)
	for _, url := range []string{"http://198.51.100.2:8080/x", "http://www.example.test/ok/a"} {
		if out, status := w.run("curl", "-sS", "--max-time", "3", url); status == 0 {
			t.Errorf("%s is served without a broker: %s", url, out)
		}
	}
}
