package integration

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestBadPolicies: docker prints one sentence that says where and what, with
// runc's exit status, and nothing is left behind.
func TestBadPolicies(t *testing.T) {
	for name, c := range map[string]struct{ label, want string }{
		"not YAML":     {lab.Label("version: 1\nfilesystem_policy: [\n"), "io.nemoclaw.policy"},
		"unknown key":  {lab.Label("version: 1\nfilesystem_polizy: {}\n"), "filesystem_polizy"},
		"no version":   {lab.Label("filesystem_policy: {read_only: [/usr]}\n"), "version"},
		"wrong type":   {lab.Label("version: 1\nfilesystem_policy: {read_only: /usr}\n"), "read_only"},
		"not enforced": {lab.Label("version: 1\nnemoclaw: {gpu: {count: 1}}\n"), "gpu"},
		"not base64":   {base64.StdEncoding.EncodeToString([]byte("version: 1\n"))[:7] + "*", "io.nemoclaw.policy"},
		"no such name": {"there-is-no-such-policy", "there-is-no-such-policy"},
	} {
		t.Run(name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, e *lab.Engine) {
				ref := image(t, e, plain)
				leavesNothing(t, e, func() {
					r, err := e.Run("--label", "io.nemoclaw.policy="+c.label, ref, "echo", "ran")
					oneSentence(t, r, err, 125, c.want)
				})
			})
		})
	}
}

// oneSentence holds an error to what a person should see of it.
func oneSentence(t *testing.T, r lab.Result, err error, code int, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != code || strings.Contains(r.Stdout, "ran") {
		t.Errorf("exit status %d, want %d; output %q", r.Code, code, r.Stdout)
	}
	// After docker's own line there may be its waiter's log line (20.10).
	first, _, _ := strings.Cut(r.Stderr, "\ntime=")
	if !strings.Contains(first, want) {
		t.Errorf("the error does not name %q:\n%s", want, r.Stderr)
	}
	if len(first) > 1500 || strings.Contains(first, "goroutine ") {
		t.Errorf("that is no sentence (%d bytes):\n%.1500s", len(first), first)
	}
}

// TestHugeLabel: a label of 1 MiB, as image label and as container label.
func TestHugeLabel(t *testing.T) {
	huge := base64.StdEncoding.EncodeToString([]byte("version: 1\n#" + strings.Repeat("x", 1<<20)))
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, plain)
		leavesNothing(t, e, func() {
			var created struct{ ID string }
			if err := e.API("POST", "/containers/create", map[string]any{
				"Image": ref, "Cmd": []string{"echo", "ran"}, "Labels": map[string]string{"io.nemoclaw.policy": huge},
				"HostConfig": map[string]any{"Runtime": "nemoclaw"},
			}, &created); err != nil {
				t.Fatal(err)
			}
			r, err := e.Try("start", "-a", created.ID)
			oneSentence(t, r, err, 1, "io.nemoclaw.policy")
			e.Docker("rm", "-f", created.ID)
		})
	})
}

// TestMissingProgram: the same words and the same status as with runc.
func TestMissingProgram(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		for _, args := range [][]string{{"no-such-program"}, {"/no/such/program"}, {"/etc/passwd"}, {"/etc"}} {
			leavesNothing(t, e, func() {
				want, err := e.RunRunc(append([]string{ref}, args...)...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := e.Run(append([]string{ref}, args...)...)
				if err != nil || got.Code != want.Code {
					t.Errorf("%v: %v, exit status %d, with runc %d\n%s", args, err, got.Code, want.Code, got.Stderr)
				}
				if w := lastWords(want.Stderr); !strings.Contains(got.Stderr, w) {
					t.Errorf("%v: says\n%swith runc\n%s", args, got.Stderr, want.Stderr)
				}
			})
		}
		id := sleeper(t, e, ref)
		r, err := e.Try("exec", id, "no-such-program")
		if err != nil || r.Code != 126 && r.Code != 127 || !strings.Contains(r.Stdout+r.Stderr, "not found") {
			t.Errorf("exec: %v, exit status %d, %s%s", err, r.Code, r.Stdout, r.Stderr)
		}
	})
}

// lastWords is the cause at the end of an error's chain: "executable file not
// found in $PATH", "permission denied".
func lastWords(stderr string) string {
	line, _, _ := strings.Cut(stderr, "\n")
	parts := strings.Split(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(line), "."), ": unknown"), ": ")
	return parts[len(parts)-1]
}

// TestFailedCreateLeavesNothing breaks one thing after another that `create`
// needs, and looks at what remains.
func TestFailedCreateLeavesNothing(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		for _, b := range []struct {
			what   string
			path   string
			script string // what stands in the file's place; "": nothing does, "busybox": a program that ends at once
		}{
			{"no supervisor", filepath.Join(e.Bin, "nemoclaw-supervisor"), ""},
			{"a supervisor that ends", filepath.Join(e.Bin, "nemoclaw-supervisor"), "busybox"},
			{"no broker", filepath.Join(e.Bin, "nemoclaw-broker"), ""},
			{"a broker that ends", filepath.Join(e.Bin, "nemoclaw-broker"), "#!/bin/sh\nexit 3\n"},
			{"no stub", filepath.Join(e.Bin, "nemoclaw-init"), ""},
			{"a run_dir that is a file", e.RunDir, "x"},
		} {
			t.Run(b.what, func(t *testing.T) {
				leavesNothing(t, e, func() {
					defer replace(t, b.path, b.script)()
					r, err := e.Run(ref, "echo", "ran")
					oneSentence(t, r, err, 125, "")
				})
			})
		}
		// The repairs took: a run goes through.
		if r, err := e.Run(ref, "echo", "ran"); err != nil || r.Stdout != "ran\n" {
			t.Errorf("after the repairs: %v %+v", err, r)
		}
	})
}

// replace puts something else in a file's place and returns the way back.
func replace(t *testing.T, path, content string) (back func()) {
	t.Helper()
	aside := path + ".aside"
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	if content == "busybox" {
		b, err := os.ReadFile("/bin/busybox")
		if err != nil {
			t.Fatal(err)
		}
		content = string(b)
	}
	if content != "" {
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		os.RemoveAll(path)
		if err := os.Rename(aside, path); err != nil {
			t.Fatal(err)
		}
	}
}
