package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestRunGivesOutputAndStatus(t *testing.T) {
	h := newHost(t)
	r := h.run("run", name(t), "--bundle", bundle(t, "echo out; echo err >&2; exit 7", nil))
	if r.Status != 7 || r.Stdout != "out\n" || r.Stderr != "err\n" {
		t.Errorf("%+v", r)
	}
	if out := h.must("list", "-q"); out != "" {
		t.Errorf("left behind: %q", out)
	}
}

func TestLifecycle(t *testing.T) {
	h, id := newHost(t), name(t)
	dir := bundle(t, "sleep 1000", nil)
	pidFile := filepath.Join(t.TempDir(), "pid")
	h.must("create", "--bundle", dir, "--pid-file", pidFile, id)
	defer h.run("delete", "--force", id)
	s := h.state(id)
	if s.Status != "created" || s.Bundle != dir || s.Annotations["io.nemoclaw.policy"] != "none" {
		t.Errorf("%+v", s)
	}
	if pid, _ := os.ReadFile(pidFile); string(pid) != strconv.Itoa(s.PID) {
		t.Errorf("pid file %q, state %d", pid, s.PID)
	}
	if r := h.run("create", "--bundle", dir, id); r.Status == 0 || !strings.Contains(r.Stderr, "already exists") {
		t.Errorf("a second container of the name: %+v", r)
	}
	h.must("start", id)
	if s := h.state(id); s.Status != "running" {
		t.Errorf("after start: %s", s.Status)
	}
	if r := h.run("exec", "--env", "A=b,c", id, "sh", "-c", `echo "$A"; exit 5`); r.Status != 5 || r.Stdout != "b,c\n" {
		t.Errorf("exec: %+v", r)
	}
	if r := h.run("exec", id, "nothing-of-the-kind"); r.Status != 255 || !strings.Contains(r.Stderr, "executable file not found in $PATH") {
		t.Errorf("exec of nothing: %+v", r)
	}
	if out := h.must("ps", "--format", "json", id); out != "["+strconv.Itoa(s.PID)+"]\n" {
		t.Errorf("ps: %q", out)
	}
	h.must("pause", id)
	if s := h.state(id); s.Status != "paused" {
		t.Errorf("after pause: %s", s.Status)
	}
	h.must("resume", id)
	if r := h.run("delete", id); r.Status == 0 || !strings.Contains(r.Stderr, "that is not stopped: running") {
		t.Errorf("delete of a running container: %+v", r)
	}
	h.must("kill", id, "KILL")
	h.wait(id, "stopped")
	h.must("delete", id)
	if r := h.run("state", id); r.Status != 1 || !strings.Contains(r.Stderr, "container does not exist") {
		t.Errorf("after delete: %+v", r)
	}
	h.must("delete", id, "--force")
}

// wait waits until the container is in a state.
func (h *host) wait(id, status string) {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s := h.state(id)
		if s.Status == status {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("container is %s, not %s", s.Status, status)
		}
	}
}

// An engine shows its user the last error of the log, from its JSON.
func TestErrorGoesToTheLogAsJSON(t *testing.T) {
	h := newHost(t)
	log := filepath.Join(t.TempDir(), "log.json")
	r := h.run("--log", log, "--log-format", "json", "start", "nobody")
	text, err := os.ReadFile(log)
	if err != nil || r.Status != 1 || r.Stderr != "container does not exist\n" {
		t.Fatalf("%+v, %v", r, err)
	}
	if line := string(text); !strings.HasPrefix(line, `{"level":"error","msg":"container does not exist","time":"`) || strings.Count(line, "\n") != 1 {
		t.Errorf("%q", line)
	}
}

// Whoever runs a container in the foreground may send it signals through us.
func TestRunPassesSignalsOn(t *testing.T) {
	h, id := newHost(t), name(t)
	cmd := h.command("run", "--bundle", bundle(t, `trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done`, nil), id)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer h.run("delete", "--force", id)
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 9 {
		t.Errorf("status %d", status)
	}
}

// A process inherits what the caller preserves, at the same numbers, and
// nothing else.
func TestOnlyPreservedDescriptors(t *testing.T) {
	h := newHost(t)
	script := `for f in /proc/self/fd/*; do echo "$(readlink $f)"; done | sed -n 's/.*preserved.*/yes/p'; echo "$LISTEN_FDS"`
	script = strings.ReplaceAll(script, "sed", "busybox sed")
	f := create(t, filepath.Join(t.TempDir(), "preserved"))
	defer f.Close()
	other := create(t, filepath.Join(t.TempDir(), "preserved-not"))
	defer other.Close()
	cmd := h.command("run", "--preserve-fds", "1", "--bundle", bundle(t, script, nil), name(t))
	cmd.ExtraFiles = []*os.File{f, other}
	if r := h.finish(cmd); r.Stdout != "yes\n\n" {
		t.Errorf("%+v", r)
	}
}

// systemd hears of readiness, and which process to watch, from start and from a
// detached run.
func TestNotifySocket(t *testing.T) {
	for _, verbs := range [][]string{{"create", "start"}, {"run -d"}} {
		t.Run(verbs[0], func(t *testing.T) { testNotify(t, verbs) })
	}
}

func testNotify(t *testing.T, verbs []string) {
	h, id := newHost(t), name(t)
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	dir := bundle(t, "test -S $NOTIFY_SOCKET && exec sleep 1000", nil)
	command := func(verb string) *exec.Cmd {
		cmd := h.command(append(strings.Fields(verb), id)...)
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path)
		cmd.Dir = dir
		return cmd
	}
	if len(verbs) > 1 {
		if r := h.finish(command(verbs[0])); r.Status != 0 {
			t.Fatalf("%+v", r)
		}
	}
	defer h.run("delete", "--force", id)
	last := command(verbs[len(verbs)-1])
	if err := last.Start(); err != nil {
		t.Fatal(err)
	}
	sendTo(t, filepath.Join(h.root, id, "notify", "notify.sock"), "STATUS=x\nREADY=1\n")
	if got := receive(t, conn); got != "READY=1\n" {
		t.Errorf("%q", got)
	}
	for _, want := range []string{"MAINPID=" + strconv.Itoa(h.state(id).PID) + "\n", "BARRIER=1"} {
		if got := receive(t, conn); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := last.Wait(); err != nil {
		t.Error(err)
	}
}

func sendTo(t *testing.T, path, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unixgram", path)
		if err == nil {
			defer conn.Close()
			_, err = conn.Write([]byte(text))
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// receive reads one datagram, and closes the descriptors that come with it.
func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf, oob := make([]byte, 100), make([]byte, 100)
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		fds, _ := unix.ParseUnixRights(&m)
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	return string(buf[:n])
}

func TestUpdateChangesLimits(t *testing.T) {
	h, id := newHost(t), name(t)
	dir := bundle(t, "sleep 1000", func(s *specs.Spec) {
		limit := int64(20)
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
	})
	h.must("run", "-d", "--bundle", dir, id)
	defer h.run("delete", "--force", id)
	h.must("update", id, "--pids-limit", "30", "--memory", "64M")
	out := h.must("events", "--stats", id)
	for _, want := range []string{`"pids":{"current":1,"limit":30}`, `"limit":67108864`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s lacks %s", out, want)
		}
	}
	if r := h.run("update", id, "--memory", "x"); r.Status == 0 || !strings.Contains(r.Stderr, "invalid value for memory") {
		t.Errorf("%+v", r)
	}
}

func TestVersionNamesBoth(t *testing.T) {
	r := newHost(t).run("--version")
	if first, _, _ := strings.Cut(r.Stdout, "\n"); first != "nemoclaw-runtime "+version+", runc version 1.5.2" {
		t.Errorf("%q", first)
	}
}

func TestCheckpointIsRefusedPlainly(t *testing.T) {
	h := newHost(t)
	for _, verb := range []string{"checkpoint", "restore"} {
		if r := h.run(verb, "--image-path", "/x", "id"); r.Status != 1 || !strings.Contains(r.Stderr, "not supported") {
			t.Errorf("%s: %+v", verb, r)
		}
		if r := h.run(verb, "--help"); r.Status != 0 || !strings.Contains(r.Stdout, "not supported") {
			t.Errorf("%s --help: %+v", verb, r)
		}
	}
}
