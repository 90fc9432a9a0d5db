package hooks

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/policy"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

func parseProcess(t *testing.T, user, group string) *policy.Process {
	t.Helper()
	return &policy.Process{RunAsUser: user, RunAsGroup: group}
}

func TestCheckProgram(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"/bin", "/usr/bin", "/work", "/opt"} {
		if err := os.MkdirAll(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{
		"/usr/bin/tool": 0o755, "/usr/bin/data": 0o644, "/usr/bin/mine": 0o700, "/opt/app": 0o755, "/work/run": 0o755,
	} {
		if err := os.WriteFile(dir+name, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"/bin/out": "/../../../../bin/true", "/bin/tool2": "/usr/bin/tool", "/bin/magic": "/proc/self/exe"} {
		if err := os.Symlink(to, dir+link); err != nil {
			t.Fatal(err)
		}
	}
	root, err := openRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.close()
	// Outside a container the resolved path is the host's.
	rules := []sandbox.Rule{{Path: "/usr", Resolved: dir + "/usr", Access: plan.ReadOnly}, {Path: "/work", Resolved: dir + "/work"}}
	for _, tc := range []struct {
		program string
		uid     uint32
		want    string // "": executable
	}{
		{"tool", 0, ""}, {"/usr/bin/tool", 1000, ""}, {"/bin/tool2", 0, ""}, {"./run", 0, ""},
		{"nothing", 0, "executable file not found in $PATH"},
		{"/nothing", 0, `exec: "/nothing": stat /nothing: no such file or directory`},
		{"data", 0, "permission denied"}, {"/usr/bin/data", 0, "permission denied"},
		{"mine", 0, ""}, {"mine", 1000, "permission denied"},
		{"/usr", 0, "is a directory"},
		{"/opt/app", 0, "the policy grants no path"},
		{"/bin/out", 0, "no such file"},
		{"/bin/magic", 0, "no such file"},
	} {
		err := checkProgram(root, &specs.Process{
			Args: []string{tc.program}, Env: []string{"PATH=/nowhere", "PATH=/bin:/usr/bin"}, Cwd: "/work",
			User: specs.User{UID: tc.uid, GID: tc.uid},
		}, rules)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s as %d: %v, want %q", tc.program, tc.uid, err, tc.want)
		}
	}
}

// A number is a number, whatever the image calls its users (an operator's
// run_as_user must not become root).
func TestNumericUserIsNoName(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/etc/passwd", []byte("1000:x:0:0::/:\napp:x:1001:1002::/:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]plan.User{
		"1000": {UID: 1000, GID: 1000, Found: true}, "1001": {UID: 1001, GID: 1002, Found: true}, "app": {UID: 1001, GID: 1002, Found: true},
	} {
		if got := runAs(dir, parseProcess(t, user, "")); got != want {
			t.Errorf("%s: %+v, want %+v", user, got, want)
		}
	}
}

// A trust store that a link leads into a volume is left alone.
func TestTrustStoreInAVolume(t *testing.T) {
	spec := &specs.Spec{Mounts: []specs.Mount{{Destination: "/data/"}, {Destination: "/dev"}}}
	for name, want := range map[string]bool{"/data": true, "/data/x.crt": true, "/database/x.crt": false, "/etc/ssl/cert.pem": false} {
		if got := underMount(name, spec); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
