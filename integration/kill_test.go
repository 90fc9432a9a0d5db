package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestKilledHelpers: after a kill -9 of supervisor, broker or both nothing
// leaves that policy does not allow, and the container is removed cleanly.
func TestKilledHelpers(t *testing.T) {
	for _, victims := range [][]string{{"nemoclaw-supervisor"}, {"nemoclaw-broker"}, {"nemoclaw-broker", "nemoclaw-supervisor"}} {
		t.Run(strings.Join(victims, "+"), func(t *testing.T) {
			onEngines(t, func(t *testing.T, e *lab.Engine) {
				ref := image(t, e, agent)
				leavesNothing(t, e, func() { killHelpers(t, e, ref, victims) })
			})
		})
	}
}

func killHelpers(t *testing.T, e *lab.Engine, ref string, victims []string) {
	id := sleeper(t, e, ref)
	defer e.Docker("rm", "-f", id)
	ok := "http http://api.example.com/"
	if a := execIn(t, e, nil, id, ok)[ok]; a.Map["status"] != "200" {
		t.Fatalf("before the kill: %v", a)
	}
	var pids []int // all found first: who loses the other may end by itself
	for _, name := range victims {
		found := e.Processes(name)
		if len(found) == 0 {
			t.Fatalf("no %s runs", name)
		}
		pids = append(pids, found...)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Fatal(err)
		}
	}
	mark := e.World.Internet.Capture.Mark()
	requests := len(e.World.Internet.Web.Requests())
	ops := []string{
		"tcp " + lab.OtherAddr4 + ":9000", "udp " + lab.PublicDNS4 + ":53 x", "dns " + lab.PublicDNS4 + ":53 leak.example.org",
		"http http://other.example.org/", "http http://api.example.com/ POST x", "tcp [" + lab.OtherAddr6 + "]:9000",
		"write /etc/x", "status",
	}
	got := execIn(t, e, nil, id, ops...)
	settle()
	if out := unexpected(e, mark, append(resolverTraffic, "tcp "+lab.AllowedAddr4+":80")...); len(out) > 0 {
		t.Errorf("this left after the kill:\n%s", strings.Join(out, "\n"))
	}
	for _, r := range e.World.Internet.Web.Requests()[requests:] {
		if r.Method != "GET" || r.Host != "api.example.com" {
			t.Errorf("upstream saw %s %s", r.Method, r.Host)
		}
	}
	wanted{"write /etc/x": "EACCES|EROFS"}.check(t, got)
	if got["status"].Map["Seccomp_filters"] != "2" {
		t.Errorf("an exec after the kill is less confined: %v", got["status"])
	}
}

// TestSupervisorComesBack: the broker restarts a supervisor that dies, with its
// listeners, and names keep their addresses.
func TestSupervisorComesBack(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		id := sleeper(t, e, image(t, e, agent))
		name := "dns " + lab.PublicDNS4 + ":53 api.example.com"
		before := execIn(t, e, nil, id, name)[name].Map["addrs"]
		for _, pid := range e.Processes("nemoclaw-supervisor") {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		ok := "http http://api.example.com/again"
		var a answer
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && a.Map["status"] != "200"; time.Sleep(200 * time.Millisecond) {
			a = execIn(t, e, nil, id, ok)[ok]
		}
		if a.Map["status"] != "200" {
			t.Errorf("ten seconds after the kill: %v", a)
		}
		if after := execIn(t, e, nil, id, name)[name].Map["addrs"]; after != before || before == "" {
			t.Errorf("the name moved from %q to %q", before, after)
		}
	})
}
