package integration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

// nemoclaw runs the person's command and wants the exit status given.
func nemoclaw(t *testing.T, e *lab.Engine, status int, args ...string) string {
	t.Helper()
	r, err := e.Nemoclaw(args...)
	if err != nil || r.Code != status {
		t.Fatalf("nemoclaw %s: %v, exit status %d, want %d\n%s%s", strings.Join(args, " "), err, r.Code, status, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// TestInspect: what the commands say of a running sandbox is what the kernel
// says, by id, by the beginning of it and by the engine's name.
func TestInspect(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		id := sleeper(t, e, ref, "--name", "inspected", "--publish", "8080:80")
		list := nemoclaw(t, e, 0, "sandboxes")
		if !strings.Contains(list, id[:12]) || !strings.Contains(list, "inspected") || !strings.Contains(list, "running") {
			t.Errorf("the list does not have it:\n%s", list)
		}
		for _, name := range []string{id, id[:8], "inspected"} {
			text := nemoclaw(t, e, 0, "inspect", name)
			for _, want := range []string{id, "ok  no_new_privs", "seccomp filters", "/work", "published to every address"} {
				if !strings.Contains(text, want) {
					t.Errorf("inspect %s does not say %q:\n%s", name, want, text)
				}
			}
			if strings.Contains(text, "DIFFERS") {
				t.Errorf("the kernel disagrees with the plan:\n%s", text)
			}
		}
		var in struct {
			State  string
			Agrees bool
			Kernel struct {
				PID int `json:"pid"`
			}
		}
		if err := json.Unmarshal([]byte(nemoclaw(t, e, 0, "inspect", id, "--json")), &in); err != nil {
			t.Fatal(err)
		}
		if pid, err := e.Pid(id); err != nil || in.State != "running" || !in.Agrees || in.Kernel.PID != pid {
			t.Errorf("inspect --json: %+v; the engine's pid is %d, %v", in, pid, err)
		}
		logged := nemoclaw(t, e, 0, "audit", "log", "--sandbox", id)
		if !strings.Contains(logged, "create") || !strings.Contains(logged, "start") {
			t.Errorf("the audit log has no create and start:\n%s", logged)
		}
		if out := nemoclaw(t, e, 0, "audit", "verify"); strings.Contains(out, "BAD") || !strings.Contains(out, id) {
			t.Errorf("audit verify:\n%s", out)
		}
	})
}

// TestDoctor: on an engine that has the runtime, all is well; the port that is
// open to the world is told.
func TestDoctor(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		id := sleeper(t, e, image(t, e, agent), "--publish", "8081:80")
		out := nemoclaw(t, e, 0, "doctor", "--socket", e.Sock(), "--daemon-json", filepath.Join(e.Dir, "docker", "daemon.json"), "--json")
		var d struct {
			Healthy  bool
			Findings []struct{ Area, Name, Level, What string }
		}
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatal(err)
		}
		open, registered := false, false
		for _, f := range d.Findings {
			open = open || f.Area == "sandboxes" && f.Name == id[:12] && f.Level == "warn" && strings.Contains(f.What, "port 80/tcp")
			registered = registered || f.Area == "engine" && f.Name == "registered" && f.Level == "ok"
			if f.Level == "fail" {
				t.Errorf("%+v", f)
			}
		}
		if !d.Healthy || !open || !registered {
			t.Errorf("healthy %v, open port told %v, registered %v:\n%s", d.Healthy, open, registered, out)
		}
	})
}

// TestInstallDocker: a running engine learns of the runtime and forgets it
// again, as a further one and as the default.
func TestInstallDocker(t *testing.T) {
	for _, kind := range lab.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			kerneltest.Root(t)
			// An engine of its own: others must not meet one without the runtime.
			e, err := startEngine(kind, lab.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := closeEngine(e); err != nil {
					t.Error(err)
				}
			}()
			file := filepath.Join(e.Dir, "docker", "daemon.json")
			info := func() (runtimes map[string]any, byDefault string) {
				t.Helper()
				var i struct {
					Runtimes       map[string]any
					DefaultRuntime string
				}
				if err := e.API("GET", "/info", nil, &i); err != nil {
					t.Fatal(err)
				}
				return i.Runtimes, i.DefaultRuntime
			}
			engineFlags := []string{"docker", "--daemon-json", file, "--socket", e.Sock()}
			nemoclaw(t, e, 0, append([]string{"uninstall"}, engineFlags...)...)
			if r, _ := info(); r["nemoclaw"] != nil {
				t.Error("after uninstall the engine still has the runtime")
			}
			nemoclaw(t, e, 0, append([]string{"install"}, append(engineFlags, "--default")...)...)
			if r, byDefault := info(); r["nemoclaw"] == nil || byDefault != "nemoclaw" {
				t.Errorf("after install --default: %v, default %s", r["nemoclaw"], byDefault)
			}
			nemoclaw(t, e, 0, append([]string{"uninstall"}, engineFlags...)...)
			if r, byDefault := info(); r["nemoclaw"] != nil || byDefault != "runc" {
				t.Errorf("after uninstall: %v, default %s", r["nemoclaw"], byDefault)
			}
		})
	}
}
