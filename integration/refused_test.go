package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestRefusedOptions: what would undo the fence or hand over the host is
// refused with a sentence that names it, and leaves nothing.
func TestRefusedOptions(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		open := detached(t, e, "reference", ref, "sleep", "1000")
		for _, c := range []struct {
			flags []string
			want  string // a word of the sentence; any of several, separated by |
		}{
			{[]string{"--network", "host"}, "network"},
			{[]string{"--network", "container:" + open}, "network"},
			{[]string{"--privileged"}, "privileged|capabilit|device"},
			{[]string{"--pid", "host"}, "pid"},
			{[]string{"-v", "/proc:/host/proc"}, "/proc"},
			{[]string{"-v", "/proc:/host/proc:ro"}, "/proc"},
			{[]string{"-v", "/:/host:ro"}, "/host|host"},
			{[]string{"-v", "/sys:/host/sys"}, "/sys"},
			{[]string{"-v", e.Sock() + ":/var/run/docker.sock"}, "sock"},
			{[]string{"--security-opt", "seccomp=unconfined"}, "seccomp"},
			{[]string{"--cap-add", "NET_ADMIN"}, "NET_ADMIN"},
			{[]string{"--cap-add", "SYS_ADMIN"}, "SYS_ADMIN"},
			{[]string{"--cap-add", "SYS_PTRACE"}, "SYS_PTRACE"},
			{[]string{"--cap-add", "ALL"}, "CAP_|capabilit"},
		} {
			t.Run(strings.Join(c.flags, " "), func(t *testing.T) {
				leavesNothing(t, e, func() {
					r, err := e.Run(append(append([]string{}, c.flags...), ref, "echo", "ran")...)
					oneSentence(t, r, err, 125, "")
					for _, w := range strings.Split(c.want, "|") {
						if strings.Contains(r.Stderr, w) {
							return
						}
					}
					t.Errorf("the error names none of %s:\n%s", c.want, r.Stderr)
				})
			})
		}
	})
}

// TestDefaultCapabilitiesAreDropped: what Docker gives to everybody cannot be
// told from what was asked for; it is dropped.
func TestDefaultCapabilitiesAreDropped(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		got := run(t, e, []string{"--cap-add", "NET_RAW", "--cap-add", "SYS_CHROOT"}, image(t, e, agent), "status", "socket inet raw icmp")
		wanted{"socket inet raw icmp": "EPERM|EACCES"}.check(t, got)
		if s := got["status"].Map; s["CapBnd"] != "0000000000000000" || s["CapEff"] != "0000000000000000" {
			t.Errorf("capabilities are left: %v", s)
		}
	})
}

// TestExecMayNotWiden: what create refuses, exec cannot bring back.
func TestExecMayNotWiden(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		id := sleeper(t, e, image(t, e, agent))
		r, err := e.Try(append([]string{"exec", "--privileged", id}, probeArgs("status", "mount", "socket inet raw icmp", "write /etc/x", "mark 1")...)...)
		if err != nil {
			t.Fatal(err)
		}
		if r.Code != 0 {
			return // refused outright
		}
		got := answers(t, r)
		wanted{"mount": "EPERM", "socket inet raw icmp": "EPERM|EACCES", "write /etc/x": "EACCES|EROFS", "mark 1": "EPERM"}.check(t, got)
		if s := got["status"].Map; s["CapEff"] != "0000000000000000" || s["Seccomp_filters"] != "2" {
			t.Errorf("exec --privileged: %v", s)
		}
	})
}

// TestAllowedByTheOperator: the operator's configuration may allow what is
// refused by default.
func TestAllowedByTheOperator(t *testing.T) {
	e, err := startEngine(lab.Docker20, lab.Options{Config: map[string]any{"allow": map[string]any{"host_proc": true}}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeEngine(e)
	ref := image(t, e, agent)
	if r, err := e.Run("-v", "/proc:/host/proc:ro", ref, "echo", "ran"); err != nil || r.Stdout != "ran\n" {
		t.Errorf("allow.host_proc: %v, exit status %d\n%s", err, r.Code, r.Stderr)
	}
}

// TestOperatorsVolume: what the operator binds with -v is granted at its
// mount's mode, although the policy does not name it.
func TestOperatorsVolume(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		dir := t.TempDir()
		os.Chmod(dir, 0o777)
		os.Chmod(filepath.Dir(dir), 0o755)
		want := wanted{"write /mnt/rw/x": "ok", "write /mnt/ro/y": "EROFS|EACCES", "list /mnt/ro": "ok"}
		flags := []string{"-v", dir + ":/mnt/rw", "-v", dir + ":/mnt/ro:ro"}
		want.check(t, run(t, e, flags, ref, want.ops()...))
		if _, err := os.Stat(filepath.Join(dir, "x")); err != nil {
			t.Error(err)
		}
	})
}
