package broker_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// TestTwoContainers holds that each container of one namespace is under its own
// policy, by name and by connection, and leaves records in its own log.
func TestTwoContainers(t *testing.T) {
	w := newWorld(t, testPolicy, false)
	first, firstLog := w.cgroup, w.log
	w.makeCgroup()
	w.join("c2", `version: 1
network_policies:
  other:
    endpoints: [{host: other.example.test, port: 80, protocol: rest, enforcement: enforce, access: read-only}]
    binaries: any
`, false)
	second, secondLog := w.cgroup, w.log
	fetch := func(cgroup, url string) int {
		w.cgroup = cgroup
		_, status := w.curl(url)
		return status
	}
	if s := fetch(second, "http://other.example.test/"); s != 200 {
		t.Errorf("the second under its own policy: %d", s)
	}
	if s := fetch(first, "http://www.example.test/ok/a"); s != 200 {
		t.Errorf("the first under its own policy: %d", s)
	}
	if s := fetch(first, "http://other.example.test/"); s != 0 {
		t.Errorf("the first under the second's policy: %d", s)
	}
	// By address, past the names: the connection is decided about by who makes it.
	w.cgroup = first
	if body, status := w.curl("--resolve", "other.example.test:80:28.192.0.1", "http://other.example.test/"); status != 403 {
		t.Errorf("the first at the second's address: %d %s", status, body)
	}
	if out, _ := w.run("dig", "+tcp", "+tries=1", "@8.8.8.8", "other.example.test"); !strings.Contains(out, "NXDOMAIN") {
		t.Errorf("over TCP: %s", out)
	}
	// A process of neither.
	w.makeCgroup()
	if out, status := w.curl("--resolve", "www.example.test:80:28.192.0.2", "http://www.example.test/ok/a"); status != 403 || !strings.Contains(out, "unknown_process") {
		t.Errorf("a process of neither: %d %s", status, out)
	}
	for log, hosts := range map[string][2]string{firstLog: {"www.example.test", "other.example.test"}, secondLog: {"other.example.test", "www.example.test"}} {
		w.log = log
		if !w.recorded(audit.KindRequest, "allow", "allowed", hosts[0]) || w.recorded(audit.KindRequest, "allow", "allowed", hosts[1]) {
			t.Errorf("%s has not its own records, and those alone", log)
		}
		if !w.recorded(audit.KindConnect, "deny", "unknown_process", "") {
			t.Errorf("%s does not know of the process of neither", log)
		}
	}
	r, err := w.slot.Ask(&sandbox.Request{Verb: sandbox.VerbRemove, ID: "c1"})
	check(t, err)
	if r.Left != 1 {
		t.Errorf("%d are left", r.Left)
	}
	if s := fetch(second, "http://other.example.test/"); s != 200 {
		t.Errorf("the second, alone: %d", s)
	}
}

// TestBinaries holds what makes a program: its path or an ancestor's, its
// content, and every holder of the socket.
func TestBinaries(t *testing.T) {
	kerneltest.Root(t)
	curl, err := os.ReadFile("/usr/bin/curl")
	check(t, err)
	sum := sha256.Sum256(curl)
	dash, err := exec.LookPath("dash")
	check(t, err)
	w := newWorld(t, fmt.Sprintf(`version: 1
network_policies:
  right: {endpoints: [{host: right.example.test, port: 80}], binaries: [{path: /usr/bin/curl, sha256: %q}]}
  wrong: {endpoints: [{host: wrong.example.test, port: 80}], binaries: [{path: /usr/bin/curl, sha256: %q}]}
  parent: {endpoints: [{host: parent.example.test, port: 80}], binaries: [{path: %s}]}
  both: {endpoints: [{host: both.example.test, port: 9000, protocol: tcp}], binaries: [{path: /usr/bin/busybox}]}
`, hex.EncodeToString(sum[:]), strings.Repeat("0", 64), dash), false)
	for host, want := range map[string]int{"right": 200, "wrong": 403, "parent": 403} {
		if body, status := w.curl("http://" + host + ".example.test/"); status != want {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
	if out, _ := w.run(dash, "-c", "curl -sS -o /dev/null -w '%{http_code}' http://parent.example.test/; true"); out != "200" {
		t.Errorf("below an allowed program: %q", out)
	}
	if out, _ := w.run(dash, "-c", "printf hello | busybox nc -w 3 both.example.test 9000"); out != "hello" {
		t.Errorf("one holder: %q", out)
	}
}

// TestEngineResolver puts a resolver like Docker's into the namespace: service
// names that policy lists are asked of it, by us alone.
func TestEngineResolver(t *testing.T) {
	w := newWorld(t, `version: 1
network_policies:
  services:
    endpoints:
      - {host: db, port: 80}
      - {host: alias.internal, port: 80}
      - {host: echo.internal, port: 80}
    binaries: any
`, true)
	var u *net.UDPConn
	kerneltest.In(t, w.agent, func() (err error) {
		u, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 11), Port: 53})
		return err
	})
	t.Cleanup(func() { u.Close() })
	engine := &queryLog{}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			name := m.Questions[0].Name
			engine.add(name.String())
			addr := netip.MustParseAddr(worldAddr)
			if name.String() == "echo.internal." { // forwarded back into the namespace: our own answer
				addr = netip.MustParseAddr("28.192.0.3")
			}
			if m.Response = true; m.Questions[0].Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 1},
					Body:   &dnsmessage.AResource{A: addr.As4()},
				}}
			}
			out, _ := m.Pack()
			u.WriteTo(out, from)
		}
	}()
	w.unknown = "internal."
	for _, host := range []string{"db", "alias.internal"} {
		if body, status := w.curl("http://" + host + "/"); status != 200 {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
	if w.queries.has("db.") {
		t.Error("a service's name was asked for outside")
	}
	if body, status := w.curl("http://echo.internal/"); status != 502 {
		t.Errorf("the engine's resolver asked us: %d %s", status, body)
	}
	if out, _ := w.run("dig", "+short", "+tries=1", "+timeout=2", "@127.0.0.11", "elsewhere"); strings.Contains(out, worldAddr) || engine.has("elsewhere.") {
		t.Errorf("the agent asked the engine's resolver: %q", out)
	}
}

// TestControlSocket holds that only root is served, and only what is known.
func TestControlSocket(t *testing.T) {
	w := newWorld(t, testPolicy, false)
	check(t, os.Chmod(w.slot.ControlSocket(), 0o666)) // were it ever so
	check(t, os.Chmod(w.slot.Dir, 0o755))
	for dir := w.slot.Dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = dir[:strings.LastIndexByte(dir, '/')] {
		check(t, os.Chmod(dir, 0o755))
	}
	r := kerneltest.Run(t, kerneltest.Child(t, "ask as nobody", w.slot.Dir))
	if r.Status == 0 || strings.Contains(r.Stderr, "permission denied") { // it has to come as far as the broker
		t.Errorf("status %d: %s", r.Status, r.Stderr)
	}
	for _, req := range []sandbox.Request{{Verb: "dance"}, {Verb: sandbox.VerbAttach}, {Verb: sandbox.VerbAdd}, {Verb: sandbox.VerbAttach, Attach: &sandbox.Attach{}}, {Verb: sandbox.VerbStart, ID: "nobody"}} {
		if _, err := w.slot.Ask(&req); err == nil {
			t.Errorf("%+v is carried out", req)
		}
	}
	if _, status := w.curl("http://www.example.test/ok/a"); status != 200 {
		t.Error("it has stopped working")
	}
}

// TestPosture asks the kernel what the two processes are.
func TestPosture(t *testing.T) {
	w := newWorld(t, testPolicy, false)
	time.Sleep(20 * time.Millisecond)
	for pid, want := range map[int]map[string]string{
		w.started.SupervisorPID: {
			"Uid:": fmt.Sprint(testUID), "CapEff:": "0000000000000000", "CapPrm:": "0000000000000000", "CapAmb:": "0000000000000000",
			"NoNewPrivs:": "1", "Seccomp:": "2", "Seccomp_filters:": "2", "Groups:": "",
		},
		w.started.BrokerPID: {
			"Uid:": "0", "CapEff:": "00000000002810e4", "CapPrm:": "00000000002810e4", "CapBnd:": "00000000002810e4", "CapInh:": "0000000000000000",
			"NoNewPrivs:": "1", "Seccomp:": "2", "Seccomp_filters:": "1",
		},
	} {
		for _, task := range tasks(t, pid) {
			b, err := os.ReadFile(task + "/status")
			check(t, err)
			for line := range strings.Lines(string(b)) {
				key, rest, _ := strings.Cut(strings.TrimSpace(line), "\t")
				value, ok := want[key]
				got, _, _ := strings.Cut(rest, "\t")
				if ok && strings.TrimSpace(got) != value {
					t.Errorf("%s: %s %q, want %q", task, key, got, value)
				}
			}
		}
	}
	root, err := os.ReadDir(fmt.Sprintf("/proc/%d/root", w.started.SupervisorPID))
	check(t, err)
	if len(root) != 1 || root[0].Name() != "nemoclaw-supervisor" {
		t.Errorf("the supervisor sees %v", root)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w.started.SupervisorPID))
	check(t, err)
	if len(env) != 0 {
		t.Errorf("the supervisor's environment is %q", env)
	}
}

func tasks(t *testing.T, pid int) (out []string) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		out = append(out, dir+"/"+e.Name())
	}
	return out
}
