package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

func TestLandlockFinding(t *testing.T) {
	for _, tc := range []struct {
		abi   int
		err   error
		level Level
		what  string
	}{
		{0, fmt.Errorf("asking: %w", landlock.ErrUnsupported), Fail, "there is none"},
		{0, errors.New("EPERM"), Fail, "EPERM"},
		{1, nil, Warn, "moving and linking"},
		{4, nil, Warn, "ioctl"},
		{6, nil, OK, "ABI 6"},
		{99, nil, OK, "ABI 99"},
	} {
		f := landlockFinding(tc.abi, tc.err)
		if f.Level != tc.level || !strings.Contains(f.What, tc.what) {
			t.Errorf("ABI %d, %v: %+v", tc.abi, tc.err, f)
		}
	}
}

func TestSeccompFinding(t *testing.T) {
	if f := seccompFinding("kill_process kill_thread trap errno user_notif trace log allow\n"); f.Level != OK {
		t.Errorf("%+v", f)
	}
	for _, actions := range []string{"", "allow errno\n"} {
		if f := seccompFinding(actions); f.Level != Fail {
			t.Errorf("%q: %+v", actions, f)
		}
	}
}

func TestFenceFinding(t *testing.T) {
	for err, want := range map[error]Level{nil: OK, errNeedsRoot: Warn, errors.New("no such rule"): Fail} {
		if f := fenceFinding(err); f.Level != want {
			t.Errorf("%v: %+v", err, f)
		}
	}
}

// TestKernelOfThisMachine holds that each try works here, and that trying the
// fence leaves this process where it was.
func TestKernelOfThisMachine(t *testing.T) {
	kerneltest.Root(t)
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Kernel() {
		if f.Level == Fail {
			t.Errorf("%+v", f)
		}
	}
	if after, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || after != before {
		t.Errorf("network namespace %s, was %s: %v", after, before, err)
	}
}

func TestDiffers(t *testing.T) {
	const runtime = "nemoclaw-runtime 1.2.0, runc version 1.5.2\ncommit: abc123\nspec: 1.3.0\n"
	for _, tc := range []struct{ out, version, commit, want string }{
		{runtime, "1.2.0", "abc123", ""},
		{runtime, "1.2.0", "", ""},
		{"nemoclaw-broker 1.2.0\n", "1.2.0", "abc123", ""},
		{runtime, "1.2.1", "abc123", "another version"},
		{runtime, "1.2", "abc123", "another version"},
		{runtime, "1.2.0", "abc124", "another commit"},
		{"", "1.2.0", "", "another version"},
	} {
		if got := differs([]byte(tc.out), tc.version, tc.commit); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%q against %s %s: %q, want %q", tc.out, tc.version, tc.commit, got, tc.want)
		}
	}
}

func TestPrograms(t *testing.T) {
	conf := config.Default()
	conf.LibexecDir = t.TempDir()
	put := func(name, script string) string {
		p := filepath.Join(conf.LibexecDir, name)
		if err := os.WriteFile(p, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	levels := func(runtime string) (out []Level) {
		for _, f := range Programs(conf, runtime, "1.0", "") {
			out = append(out, f.Level)
		}
		return out
	}
	if got := fmt.Sprint(levels("")); got != "[fail fail fail fail]" {
		t.Errorf("nothing there: %s", got)
	}
	runtime := put("nemoclaw-runtime", "echo nemoclaw-runtime 1.0")
	put("nemoclaw-supervisor", "echo nemoclaw-supervisor 0.9")
	put("nemoclaw-broker", "exit 3")
	put("nemoclaw-init", "not ELF")
	if got := fmt.Sprint(levels(runtime)); got != "[ok fail fail fail]" {
		t.Errorf("a broken set: %s", got)
	}
}

func TestHost(t *testing.T) {
	conf := config.Default()
	conf.LogDir = filepath.Join(t.TempDir(), "not", "there")
	conf.Ceiling = filepath.Join(t.TempDir(), "missing.yaml")
	conf.Allow.Privileged = true
	want := map[string]Level{"configuration": OK, "ceiling": Fail, "allow": Warn}
	for _, f := range Host(conf, nil) {
		if level, ok := want[f.Name]; ok && f.Level != level {
			t.Errorf("%+v, want %s", f, level)
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	if found := Host(nil, errors.New("broken")); Healthy(found) {
		t.Errorf("healthy with a broken configuration: %+v", found)
	}
}

func TestEngineWithoutEngine(t *testing.T) {
	e := Engine{DaemonJSON: filepath.Join(t.TempDir(), "daemon.json"), Socket: "/nonexistent.sock", RuntimeName: "nemoclaw"}
	found := e.Findings(t.Context())
	if len(found) != 2 || found[0].Level != Warn || found[1].Level != Warn {
		t.Errorf("%+v", found)
	}
	if err := os.WriteFile(e.DaemonJSON, []byte(`{"runtimes":{"nemoclaw":{"path":"/old"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	e.RuntimePath = "/new"
	if f := e.fileFinding(); f.Level != Warn || !strings.Contains(f.What, "/old") {
		t.Errorf("%+v", f)
	}
	e.RuntimePath = "/old"
	if f := e.fileFinding(); f.Level != OK {
		t.Errorf("%+v", f)
	}
}
