package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// helpers builds the programs that go with the runtime, once.
var helpers = sync.OnceValues(func() (string, error) {
	// Not below a test's own directory: it outlives each test.
	dir, err := filepath.Abs("../../.cache/helpers")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir, "../nemoclaw-broker", "../nemoclaw-supervisor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	stub := exec.Command("../nemoclaw-init/build.sh", filepath.Join(dir, "nemoclaw-init"))
	for _, cmd := range []*exec.Cmd{build, stub} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
		}
	}
	return dir, nil
})

// enforcedHost is a host with directories of its own, whose containers are
// under the given policy.
type enforcedHost struct {
	*host
	dir string // run, state, log and policy directories
}

func newEnforced(t *testing.T, policy string) *enforcedHost {
	t.Helper()
	h := &enforcedHost{host: newHost(t), dir: t.TempDir()}
	libexec, err := helpers()
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("run_dir: %[1]s/run\nstate_dir: %[1]s/state\nlog_dir: %[1]s/log\npolicy_dir: %[1]s/policies\nlibexec_dir: %[2]s\n", h.dir, libexec)
	if policy != "" {
		config += "default_policy: " + h.dir + "/default.yaml\n"
		h.write("default.yaml", policy)
	}
	h.write("config.yaml", config)
	h.base = []string{"--config", filepath.Join(h.dir, "config.yaml")}
	t.Cleanup(h.clean)
	return h
}

func (h *enforcedHost) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// clean removes what a test that failed has left.
func (h *enforcedHost) clean() {
	entries, _ := os.ReadDir(h.root)
	for _, e := range entries {
		h.run("delete", "--force", e.Name())
	}
	if left := h.remains(); len(left) > 0 {
		h.t.Errorf("left behind: %q", left)
	}
}

// remains lists what is left of containers in the run directory.
func (h *enforcedHost) remains() []string {
	var left []string
	for _, sub := range []string{"sandboxes", "supervisors", "netns"} {
		names, _ := filepath.Glob(filepath.Join(h.dir, "run", sub, "*"))
		left = append(left, names...)
	}
	return left
}

// start creates and starts a container of the bundle.
func (h *enforcedHost) start(dir, id string) {
	h.t.Helper()
	h.must("create", "--bundle", dir, id)
	h.must("start", id)
}

// sh runs a script in a container by exec and gives output and errors.
func (h *enforcedHost) sh(id, script string, flags ...string) string {
	h.t.Helper()
	r := h.run(append(append([]string{"exec"}, flags...), id, "sh", "-c", script)...)
	return strings.TrimSpace(r.Stdout + r.Stderr)
}

// agentSpec makes a bundle look as an engine's: a private /dev, readable /proc.
func agentSpec(s *specs.Spec) {
	s.Process.Cwd = "/"
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts"})
}

const sleeping = "sleep 1000"

// root gives the path of a bundle's root file system.
func root(dir string, name ...string) string {
	return filepath.Join(append([]string{dir, "rootfs"}, name...)...)
}

func mkdirs(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Hooks that run inside the container execute what lies in the image: they are
// under the policy as every other process there.
func TestHooksInTheContainerAreUnderThePolicy(t *testing.T) {
	h, id := newEnforced(t, ""), name(t)
	script := `(echo x > /etc/hooked); ls -l /proc/self/fd > /tmp/fds; grep Seccomp_filters /proc/self/status > /tmp/status`
	dir := bundle(t, sleeping, func(s *specs.Spec) {
		agentSpec(s)
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}}}}
	})
	mkdirs(t, root(dir, "etc"))
	applets(t, dir, "ls", "wc", "grep")
	h.start(dir, id)
	// The hook runs after start has returned.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if st, err := os.Stat(root(dir, "tmp/status")); err == nil && st.Size() > 0 {
			break
		}
	}
	if _, err := os.Stat(root(dir, "etc/hooked")); err == nil {
		t.Error("the hook could write outside of the policy")
	}
	status, _ := os.ReadFile(root(dir, "tmp/status"))
	if !strings.HasSuffix(strings.TrimSpace(string(status)), "2") {
		t.Errorf("filters of the hook: %q", status)
	}
	fds, _ := os.ReadFile(root(dir, "tmp/fds"))
	if strings.Contains(string(fds), "landlock") || strings.Contains(string(fds), "memfd") {
		t.Errorf("descriptors of the hook: %s", fds)
	}
}

func applets(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := os.Symlink("busybox", root(dir, "bin", n)); err != nil {
			t.Fatal(err)
		}
	}
}

// A read-only mount of ours never reaches the host, also where the bundle
// shares its mounts with it.
func TestReadOnlyMountsStayInTheContainer(t *testing.T) {
	h, id := newEnforced(t, "version: 1\nfilesystem_policy:\n  read_only: [/, /data/ro, /tmp/ro]\n  read_write: [/data, /tmp]\n"), name(t)
	shared := filepath.Join(t.TempDir(), "shared")
	mkdirs(t, shared)
	mount(t, "--bind", shared, shared)
	mount(t, "--make-shared", shared)
	mkdirs(t, filepath.Join(shared, "data/ro"))
	dir := bundle(t, sleeping, func(s *specs.Spec) {
		agentSpec(s)
		s.Linux.RootfsPropagation = "shared"
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/data", Source: filepath.Join(shared, "data"), Type: "bind", Options: []string{"rbind", "rshared"}})
	})
	mkdirs(t, root(dir, "tmp/ro"), root(dir, "data"))
	applets(t, dir, "cat")
	h.start(dir, id)
	for _, at := range []string{"/data/ro", "/tmp/ro"} {
		if out := h.sh(id, "echo x > "+at+"/f"); !strings.Contains(out, "Read-only") {
			t.Errorf("writing to %s: %q", at, out)
		}
	}
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, shared+"/") {
			t.Errorf("on the host: %s", line)
		}
	}
}

func mount(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Fatalf("mount %v: %s", args, out)
	}
	if at := args[len(args)-1]; args[0] == "--bind" {
		t.Cleanup(func() {
			for exec.Command("umount", "-R", at).Run() == nil {
			}
		})
	}
}

// What counts is where a path leads in the image: a link must not put a
// read-only path below a writable one.
func TestReadOnlyByLinks(t *testing.T) {
	h, id := newEnforced(t, "version: 1\nfilesystem_policy:\n  read_only: [/, /link/ro]\n  read_write: [/work]\n"), name(t)
	dir := bundle(t, sleeping, agentSpec)
	mkdirs(t, root(dir, "work/ro"))
	if err := os.Symlink("work", root(dir, "link")); err != nil {
		t.Fatal(err)
	}
	h.start(dir, id)
	if out := h.sh(id, "echo x > /work/f && echo written"); out != "written" {
		t.Errorf("writing to /work: %q", out)
	}
	if out := h.sh(id, "echo x > /work/ro/f"); !strings.Contains(out, "Read-only") {
		t.Errorf("writing to /link/ro: %q", out)
	}
}

// The agent may not put something else in a read-only path's place by renaming
// a directory above it.
func TestReadOnlyParentsCannotBeRenamed(t *testing.T) {
	h, id := newEnforced(t, "version: 1\nfilesystem_policy:\n  read_only: [/, /work/a/b/ro]\n  read_write: [/work]\n"), name(t)
	dir := bundle(t, sleeping, agentSpec)
	mkdirs(t, root(dir, "work/a/b/ro"))
	applets(t, dir, "mv", "mkdir", "cat", "rm")
	h.start(dir, id)
	for _, parent := range []string{"/work/a", "/work/a/b", "/work/a/b/ro"} {
		if out := h.sh(id, "mv "+parent+" /work/x && echo moved"); strings.Contains(out, "moved") {
			t.Errorf("%s was moved away: %q", parent, out)
		}
	}
	if out := h.sh(id, "echo x > /work/a/b/f && echo written"); out != "written" {
		t.Errorf("writing beside it: %q", out)
	}
}

// What an agent has left behind in the root file system does not widen the
// policy when the container is made again (docker restart).
func TestRestartAfterSwap(t *testing.T) {
	h, id := newEnforced(t, "version: 1\nfilesystem_policy:\n  read_only: [/bin]\n  read_write: [/work, /work/out]\n"), name(t)
	dir := bundle(t, sleeping, agentSpec)
	mkdirs(t, root(dir, "work/out"), root(dir, "etc"))
	applets(t, dir, "rm", "ln")
	h.start(dir, id)
	if out := h.sh(id, "rm -r /work/out && ln -s /etc /work/out && echo done"); out != "done" {
		t.Fatalf("%q", out)
	}
	h.must("delete", "--force", id)
	if r := h.run("create", "--bundle", dir, id); r.Status == 0 {
		h.must("start", id)
	}
	if out := h.sh(id, "echo x > /etc/widened && echo written"); strings.Contains(out, "written") {
		t.Errorf("the agent made /etc writable: %q", out)
	}
}

// An exec gets what the plan gives: the policy's user, and no supervisor's.
func TestExecUser(t *testing.T) {
	h, id := newEnforced(t, "version: 1\nprocess:\n  run_as_user: \"1234\"\n  run_as_group: \"1235\"\n"), name(t)
	dir := bundle(t, sleeping, agentSpec)
	h.start(dir, id)
	if out := h.sh(id, "id -u; id -g; id -G"); out != "1234\n1235\n1235" {
		t.Errorf("%q", out)
	}
	h, id = newEnforced(t, ""), id+"-2"
	h.start(dir, id)
	for _, user := range []string{"2013265921", "1000:2013265921"} {
		if out := h.sh(id, "id -u", "--user", user); !strings.Contains(out, "supervisor") {
			t.Errorf("--user %s: %q", user, out)
		}
	}
	if out := h.sh(id, "id -u", "--user", "1000", "--additional-gids", "2013265921"); !strings.Contains(out, "supervisor") {
		t.Errorf("groups: %q", out)
	}
}

// A work directory in the kernel's file systems is no writable path.
func TestWorkdirInProc(t *testing.T) {
	h, id := newEnforced(t, ""), name(t)
	dir := bundle(t, sleeping, func(s *specs.Spec) { agentSpec(s); s.Process.Cwd = "/proc/self" })
	h.start(dir, id)
	if out := h.sh(id, "echo 100 > /proc/self/oom_score_adj && echo written"); strings.Contains(out, "written") {
		t.Errorf("%q", out)
	}
}

// Without a /dev of the container's own, what the image has at /dev/pts is no
// device.
func TestDevicesOfAnImage(t *testing.T) {
	h, id := newEnforced(t, "version: 1\nfilesystem_policy:\n  read_only: [/]\n"), name(t)
	dir := bundle(t, sleeping, func(s *specs.Spec) { s.Mounts = s.Mounts[:1] })
	mkdirs(t, root(dir, "etc"), root(dir, "dev"))
	if err := os.Symlink("/etc", root(dir, "dev/pts")); err != nil {
		t.Fatal(err)
	}
	h.start(dir, id)
	if out := h.sh(id, "echo x > /etc/widened && echo written"); strings.Contains(out, "written") {
		t.Errorf("the image made /etc writable: %q", out)
	}
}

// A writable path below a read-only one below a writable one is writable.
func TestWritableBelowReadOnly(t *testing.T) {
	h, id := newEnforced(t, "version: 1\nfilesystem_policy:\n  read_only: [/, /work/ro]\n  read_write: [/work, /work/ro/a/rw]\n"), name(t)
	dir := bundle(t, sleeping, agentSpec)
	mkdirs(t, root(dir, "work/ro/a/rw"))
	h.start(dir, id)
	if out := h.sh(id, "echo x > /work/ro/a/rw/f && echo written"); out != "written" {
		t.Errorf("%q", out)
	}
	if out := h.sh(id, "echo x > /work/ro/a/f"); !strings.Contains(out, "Read-only") {
		t.Errorf("%q", out)
	}
}
