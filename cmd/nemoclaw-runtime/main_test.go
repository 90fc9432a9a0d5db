package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
	"github.com/nemoclaw/nemoclaw/runtime"
)

// The test binary is the runtime too: as a child it runs main, and libcontainer
// re-executes it as a container's init, which init() in main.go sees first.
func TestMain(m *testing.M) {
	kerneltest.Main(m, kerneltest.Children{"main": func([]string) error { main(); return nil }})
}

// host is a place to run verbs: a root of its own, no policy unless base says so.
type host struct {
	t    *testing.T
	root string
	base []string // global flags
}

func newHost(t *testing.T) *host {
	t.Helper()
	kerneltest.Root(t)
	return &host{t: t, root: t.TempDir(), base: []string{"--no-policy"}}
}

// command makes the command of a verb.
func (h *host) command(args ...string) *exec.Cmd {
	return kerneltest.Child(h.t, "main", slices.Concat(h.base, []string{"--root", h.root}, args)...)
}

// run runs a verb with its output in files: a container that stays would hold
// pipes open.
func (h *host) run(args ...string) kerneltest.Result {
	h.t.Helper()
	return h.finish(h.command(args...))
}

func (h *host) finish(cmd *exec.Cmd) kerneltest.Result {
	h.t.Helper()
	dir := h.t.TempDir()
	stdout, stderr := create(h.t, filepath.Join(dir, "out")), create(h.t, filepath.Join(dir, "err"))
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	_ = cmd.Run()
	out, _ := os.ReadFile(stdout.Name())
	err, _ := os.ReadFile(stderr.Name())
	return kerneltest.Result{Stdout: string(out), Stderr: string(err), Status: cmd.ProcessState.ExitCode()}
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// must runs a verb that has to succeed and gives its output.
func (h *host) must(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	if r.Status != 0 {
		h.t.Fatalf("%v: status %d: %s%s", args, r.Status, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

func (h *host) state(id string) runtime.State {
	h.t.Helper()
	var s runtime.State
	if err := json.Unmarshal([]byte(h.must("state", id)), &s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// bundle makes a bundle whose process is a shell script of busybox; edit may
// change the specification.
func bundle(t *testing.T, script string, edit func(*specs.Spec)) string {
	t.Helper()
	dir := t.TempDir()
	// The rootfs is below a directory that only root may enter.
	bin := filepath.Join(dir, "rootfs", "bin")
	for _, d := range []string{bin, filepath.Join(dir, "rootfs", "proc"), filepath.Join(dir, "rootfs", "tmp")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("the package busybox-static is needed: %v", err)
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"sh", "sleep", "true", "id", "readlink"} {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil {
			t.Fatal(err)
		}
	}
	spec := testSpec(script)
	if edit != nil {
		edit(spec)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, runtime.SpecFile), text, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testSpec(script string) *specs.Spec {
	return &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Args: []string{"sh", "-c", script}, Cwd: "/", Env: []string{"PATH=/bin"}},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
		}},
	}
}

// name makes a container name that no other test has: it is also a cgroup.
func name(t *testing.T) string {
	return "nemoclaw-verbs-" + strings.NewReplacer("/", "-", " ", "-", "'", "", ",", "", "(", "", ")", "").Replace(t.Name())
}
