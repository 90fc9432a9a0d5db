package integration

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// agentPolicy is what most tests run under: a read-only system, /work and /tmp
// to write to, one host for reading at layer 7 and one relayed.
const agentPolicy = `version: 1
filesystem_policy:
  read_only: [/bin, /usr, /lib, /lib64, /etc, /proc, /sys]
  read_write: [/work, /tmp, /dev/null]
network_policies:
  web:
    endpoints:
      - {host: api.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only}
      - {host: api.example.com, port: 80, protocol: rest, enforcement: enforce, access: read-only}
    binaries: any
  relayed:
    endpoints:
      - {host: raw.example.com, port: 443, tls: skip}
    binaries: any
`

// agent is an image with that policy as its label.
var agent = lab.Image{Name: "agent", Policy: agentPolicy, Files: map[string]string{"/data/secret": "nobody reads this"}}

// plain is an image without any policy.
var plain = lab.Image{Name: "plain"}

// answer is one line of the probe program's output.
type answer struct {
	Op   string
	OK   bool
	Err  string
	Data string
	Map  map[string]string
}

func (a answer) String() string {
	b, _ := json.Marshal(a)
	return string(b)
}

// answers reads the probe's lines out of a container's output, by operation.
func answers(t *testing.T, r lab.Result) map[string]answer {
	t.Helper()
	out := map[string]answer{}
	for _, line := range strings.Split(r.Stdout, "\n") {
		var a answer
		if json.Unmarshal([]byte(line), &a) == nil && a.Op != "" {
			out[a.Op] = a
		}
	}
	if len(out) == 0 {
		t.Fatalf("the probe has said nothing (exit status %d)\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	return out
}

// probeArgs makes a probe command line of operations written as lines.
func probeArgs(ops ...string) []string {
	args := []string{"probe"}
	for i, op := range ops {
		if i > 0 {
			args = append(args, "--")
		}
		args = append(args, strings.Fields(op)...)
	}
	return args
}

// run runs operations in a new container of the nemoclaw runtime.
func run(t *testing.T, e *lab.Engine, flags []string, ref string, ops ...string) map[string]answer {
	t.Helper()
	r, err := e.Run(append(append(append([]string{}, flags...), ref), probeArgs(ops...)...)...)
	if err != nil {
		t.Fatal(err)
	}
	return answers(t, r)
}

// execIn runs operations by `docker exec` in a container.
func execIn(t *testing.T, e *lab.Engine, flags []string, id string, ops ...string) map[string]answer {
	t.Helper()
	r, err := e.Try(append(append(append([]string{"exec"}, flags...), id), probeArgs(ops...)...)...)
	if err != nil {
		t.Fatal(err)
	}
	return answers(t, r)
}

// wanted maps an operation to what it must say: "ok", or the errors that are
// right for it, separated by |.
type wanted map[string]string

func (w wanted) ops() []string {
	ops := make([]string, 0, len(w))
	for op := range w {
		ops = append(ops, op)
	}
	sort.Strings(ops)
	return ops
}

func (w wanted) check(t *testing.T, got map[string]answer) {
	t.Helper()
	for _, op := range w.ops() {
		a, ok := got[op]
		switch want := w[op]; {
		case !ok:
			t.Errorf("%s: no answer", op)
		case want == "ok" && !a.OK:
			t.Errorf("%s: %s, want success", op, a.Err)
		case want == "refused" && a.OK:
			t.Errorf("%s: went through (%s)", op, a.Data)
		case want != "ok" && want != "refused" && !oneOf(a.Err, want):
			t.Errorf("%s: got %q, want %s", op, a.Err, want)
		}
	}
}

func oneOf(got, list string) bool {
	for _, w := range strings.Split(list, "|") {
		if got == w {
			return true
		}
	}
	return false
}

// detached starts a container in the background, removed at the test's end.
func detached(t *testing.T, e *lab.Engine, runtime string, args ...string) string {
	t.Helper()
	out, err := e.Docker(append([]string{"run", "-d", "--runtime", runtime}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(out)
	t.Cleanup(func() {
		if _, err := e.Docker("rm", "-f", id); err != nil && !strings.Contains(err.Error(), "No such container") {
			t.Errorf("removing %s: %v", id, err)
		}
	})
	return id
}

// sleeper starts a container of the nemoclaw runtime that waits to be asked.
func sleeper(t *testing.T, e *lab.Engine, ref string, flags ...string) string {
	t.Helper()
	return detached(t, e, "nemoclaw", append(append([]string{"--init=false"}, flags...), ref, "sleep", "1000")...)
}

// operator gives a container the operator's policy on the command line.
func operator(policy string) []string {
	return []string{"--label", "io.nemoclaw.policy=" + lab.Label(policy)}
}

// unexpected is what the recorder saw since the mark, less what the policy lets out.
func unexpected(e *lab.Engine, mark int, allowed ...string) []string {
	var out []string
	for _, p := range e.World.Internet.Capture.Since(mark) {
		line := p.String()
		_, dst, _ := strings.Cut(line, " > ")
		name, _, _ := strings.Cut(line, " ")
		if !oneOf(name+" "+dst, strings.Join(allowed, "|")) {
			out = append(out, line)
		}
	}
	return out
}

// resolverTraffic is how the supervisor asks the configured resolver.
var resolverTraffic = []string{"udp " + lab.DNSAddr4 + ":53", "tcp " + lab.DNSAddr4 + ":53"}

// settle gives stray packets the time to arrive before the recorder is read.
func settle() { time.Sleep(300 * time.Millisecond) }

// leavesNothing compares before and after f, with patience for the engine's reaper.
func leavesNothing(t *testing.T, e *lab.Engine, f func()) {
	t.Helper()
	before := e.Snapshot()
	f()
	if left := e.WaitClean(before, 8*time.Second); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// eachUser runs the test as root in the container and as an ordinary user.
func eachUser(t *testing.T, f func(t *testing.T, user string)) {
	for _, u := range []string{"0:0", "1000:1000"} {
		t.Run(fmt.Sprintf("user %s", u), func(t *testing.T) { f(t, u) })
	}
}
