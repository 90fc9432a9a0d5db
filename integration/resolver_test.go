package integration

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// servicePolicy lists one service of the user-defined network by its name.
const servicePolicy = `version: 1
filesystem_policy:
  read_only: [/bin, /usr, /lib, /lib64, /etc, /proc]
  read_write: [/work, /tmp, /dev/null]
network_policies:
  service:
    endpoints:
      - {host: backend, port: 8080, protocol: rest, enforcement: enforce, access: read-only}
    binaries: any
`

// TestEmbeddedResolver: on a user-defined network Docker puts a resolver into
// the container that would ask the world. The agent cannot reach it, neither on
// port 53 nor on the port where it really listens; a listed service is found
// through it by us.
func TestEmbeddedResolver(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		net := network(t, e, "plainnet")
		detached(t, e, "reference", "--network", net, "--name", "backend-"+string(e.Kind), "--network-alias", "backend",
			ref, "probe", "serve", "0.0.0.0:8080", "60s")
		detached(t, e, "reference", "--network", net, "--network-alias", "unlisted", ref, "probe", "serve", "0.0.0.0:8080", "60s")
		id := sleeper(t, e, ref, append(operator(servicePolicy), "--network", net)...)

		// Without us the embedded resolver does ask the world.
		if _, err := e.RunRunc(append([]string{"--network", net, ref}, probeArgs("dns 127.0.0.11:53 control.example.org")...)...); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(e.World.Internet.DNS.Queries(), func(q lab.Query) bool { return q.Name == "control.example.org." }) {
			t.Error("with stock runc the resolver asks nobody: the test has lost its subject")
		}
		asked := len(e.World.Internet.DNS.Queries())
		ports := resolverPorts(t, e, id)
		if len(ports) == 0 {
			t.Fatal("Docker's resolver listens nowhere: the test has lost its subject")
		}
		ops := []string{"http http://backend:8080/", "dns 127.0.0.11:53 leak.example.org", "dnstcp 127.0.0.11:53 leak.example.org",
			"dns 127.0.0.11:53 unlisted", "http http://unlisted:8080/"}
		for _, p := range ports {
			ops = append(ops, fmt.Sprintf("dns 127.0.0.11:%d leak.example.org", p), fmt.Sprintf("dnstcp 127.0.0.11:%d leak.example.org", p))
		}
		got := execIn(t, e, nil, id, ops...)
		if a := got["http http://backend:8080/"]; a.Map["status"] != "200" || !strings.Contains(a.Data, "agent here") {
			t.Errorf("the listed service: %v", a)
		}
		for _, op := range ops[1:] {
			if a := got[op]; a.Map["addrs"] != "" || a.Map["status"] == "200" {
				t.Errorf("%s: %v", op, a)
			}
		}
		for _, q := range e.World.Internet.DNS.Queries()[asked:] {
			t.Errorf("%s was asked of %s", q.Name, q.Server)
		}
	})
}

// resolverPorts finds where Docker's resolver listens in the container: sockets
// bound to 127.0.0.11, as the kernel lists them.
func resolverPorts(t *testing.T, e *lab.Engine, id string) []int {
	t.Helper()
	pid, err := e.Pid(id)
	if err != nil {
		t.Fatal(err)
	}
	var ports []int
	for _, proto := range []string{"udp", "tcp"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, proto))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Fields(line)
			if len(f) > 2 && strings.HasPrefix(f[1], "0B00007F:") {
				p, err := strconv.ParseUint(strings.TrimPrefix(f[1], "0B00007F:"), 16, 16)
				if err != nil {
					t.Fatal(err)
				}
				ports = append(ports, int(p))
			}
		}
	}
	return ports
}
