package integration

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestOwnServices: the agent's own servers on 127.0.0.1, ::1 and its own
// address are reached by itself, over TCP and UDP.
func TestOwnServices(t *testing.T) {
	onNetworks(t, func(t *testing.T, e *lab.Engine, flags []string) {
		ref := image(t, e, agent)
		id := sleeper(t, e, ref, flags...)
		if _, err := e.Docker("exec", "-d", id, "probe", "serve", "0.0.0.0:8080", "30s"); err != nil {
			t.Fatal(err)
		}
		ops := []string{"http http://127.0.0.1:8080/", "http http://localhost:8080/"}
		if out, _ := e.Docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id); strings.Count(out, ".") == 3 {
			ops = append(ops, "http http://"+strings.TrimSpace(out)+":8080/")
		}
		time.Sleep(200 * time.Millisecond)
		got := execIn(t, e, nil, id, ops...)
		for _, op := range ops {
			if a := got[op]; a.Map["status"] != "200" || !strings.Contains(a.Data, "agent here") {
				t.Errorf("%s: %v", op, a)
			}
		}
	})
}

// TestPublishedPorts: a published port reaches the agent from the engine's host
// and from outside; one that is not published does not.
func TestPublishedPorts(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		id := detached(t, e, "nemoclaw", "-p", "18081:8080", ref, "sh", "-c",
			"probe serve 0.0.0.0:8080 60s & probe serve 0.0.0.0:8081 60s")
		if err := e.World.InEngine(func() error { return greet("127.0.0.1:18081") }); err != nil {
			t.Errorf("from the engine's host: %v", err)
		}
		if err := e.World.Internet.In(func() error { return greet(lab.EngineAddr4 + ":18081") }); err != nil {
			t.Errorf("from outside: %v", err)
		}
		addr := containerAddr(t, e, id)
		if err := e.World.InEngine(func() error { return dialOnce(addr.String() + ":8081") }); err == nil {
			t.Error("a port that is not published takes connections")
		}
	})
}

func containerAddr(t *testing.T, e *lab.Engine, id string) netip.Addr {
	t.Helper()
	out, err := e.Docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id)
	if err != nil {
		t.Fatal(err)
	}
	a, err := netip.ParseAddr(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func dialOnce(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err
}

// TestInboundDatagram: one UDP datagram sent in from outside opens no way out.
// With stock runc it does: the test would see it.
func TestInboundDatagram(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		if out := answerDatagram(t, e, "reference"); len(out) == 0 {
			t.Error("with stock runc nothing is answered either: the test has lost its subject")
		}
		if out := answerDatagram(t, e, "nemoclaw"); len(out) > 0 {
			t.Errorf("this left:\n%s", strings.Join(out, "\n"))
		}
	})
}

// answerDatagram runs an agent that answers whoever sends it a datagram, sends
// it one, and returns what left.
func answerDatagram(t *testing.T, e *lab.Engine, runtime string) []string {
	t.Helper()
	id := detached(t, e, runtime, "-p", "5353:5353/udp", image(t, e, agent), "probe", "udpbind", "0.0.0.0:5353", lab.OtherAddr4+":7777")
	addr := containerAddr(t, e, id)
	mark := e.World.Internet.Capture.Mark()
	time.Sleep(300 * time.Millisecond) // until it listens
	// The second goes to the container itself: the internet's host knows the way.
	for _, to := range []string{lab.EngineAddr4 + ":5353", addr.String() + ":5353"} {
		if err := e.World.Internet.In(func() error { return sendDatagram(to) }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Docker("wait", id); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Docker("rm", "-f", id); err != nil {
		t.Fatal(err)
	}
	settle()
	return unexpected(e, mark, resolverTraffic...)
}

func sendDatagram(to string) error {
	c, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprint(c, "open sesame")
	return err
}

// TestSupervisorIsOutOfReach: the agent sees no process and no socket of ours.
func TestSupervisorIsOutOfReach(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		id := sleeper(t, e, image(t, e, agent))
		r, err := e.Try("exec", id, "sh", "-c", "cat /proc/*/cmdline; cat /proc/net/unix")
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"nemoclaw-supervisor", "nemoclaw-broker", e.RunDir, e.StateDir} {
			if strings.Contains(r.Stdout, word) {
				t.Errorf("the agent sees %q:\n%s", word, r.Stdout)
			}
		}
	})
}

// TestHelpersAreConfined: the supervisor runs under its own uid without
// capabilities, with no_new_privs and seccomp, in no cgroup of the container,
// and neither helper holds anything that the engine or we had open.
func TestHelpersAreConfined(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		sleeper(t, e, image(t, e, agent))
		supervisors := e.Processes("nemoclaw-supervisor")
		if len(supervisors) == 0 {
			t.Fatal("no supervisor runs")
		}
		for _, pid := range supervisors {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} {
				if !strings.Contains(string(status), want) {
					t.Errorf("supervisor %d lacks %q", pid, want)
				}
			}
			if strings.Contains(string(status), "\nUid:\t0\t") {
				t.Errorf("supervisor %d runs as root", pid)
			}
		}
		for _, pid := range append(supervisors, e.Processes("nemoclaw-broker")...) {
			cg, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
			if strings.Contains(string(cg), e.World.Name) {
				t.Errorf("helper %d is in the container's cgroup:\n%s", pid, cg)
			}
			foreignFiles(t, e, pid)
		}
	})
}

// foreignFiles fails for descriptors that lead to what an engine has open.
func foreignFiles(t *testing.T, e *lab.Engine, pid int) {
	t.Helper()
	for fd, to := range descriptors(pid) {
		if to == e.LeakMarker() || strings.Contains(to, "/docker/") || strings.Contains(to, "/containerd/") || strings.HasSuffix(to, ".log") {
			t.Errorf("helper %d holds descriptor %d: %s", pid, fd, to)
		}
	}
}

func descriptors(pid int) map[int]string {
	out := map[int]string{}
	for fd := range 256 {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err == nil {
			out[fd] = to
		}
	}
	return out
}
