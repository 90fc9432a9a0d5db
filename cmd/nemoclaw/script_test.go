package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nemoclaw": main})
}

// TestScript runs testdata/script/*.txtar: what people type and what they see.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TZ", "UTC")
			return configure(e.WorkDir)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"record": appendRecord, "mksandbox": makeSandbox, "mode": setMode, "sleeper": sleeper, "append": appendTo,
		},
	})
}

// configure writes conf.yaml, with all directories below work.
func configure(work string) error {
	text := fmt.Sprintf("run_dir: %[1]s/run\nlog_dir: %[1]s/log\npolicy_dir: %[1]s/policies\nlibexec_dir: %[1]s/libexec\n", work)
	return os.WriteFile(filepath.Join(work, "conf.yaml"), []byte(text), 0o600)
}

// appendRecord appends a record: record ID JSON.
func appendRecord(ts *testscript.TestScript, _ bool, args []string) {
	var e audit.Event
	ts.Check(json.Unmarshal([]byte(args[1]), &e))
	e.Sandbox = args[0]
	s, err := audit.Open(audit.Path(ts.MkAbs("log"), args[0]))
	ts.Check(err)
	defer s.Close()
	ts.Check(s.Write(&e))
}

// makeSandbox makes the state of a sandbox: mksandbox ID PLAN.json [PID].
func makeSandbox(ts *testscript.TestScript, _ bool, args []string) {
	var p plan.Plan
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &p))
	p.Version, p.ID = plan.Version, args[0]
	d := sandbox.DirOf(ts.MkAbs("run"), "/run/test", args[0])
	ts.Check(d.Make())
	ts.Check(d.SavePlan(&p))
	if len(args) < 3 {
		return
	}
	pid, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(d.SaveEnforced(&sandbox.Enforced{InitPID: pid, LandlockABI: 7, Skipped: []string{"/missing: not in the container, rule skipped"}}))
}

// setMode changes a file's mode: mode 0666 FILE.
func setMode(ts *testscript.TestScript, _ bool, args []string) {
	m, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	ts.Check(os.Chmod(ts.MkAbs(args[1]), os.FileMode(m)))
}

// sleeper starts a process that enforces nothing, until the script ends, and
// puts its pid into $PID.
func sleeper(ts *testscript.TestScript, _ bool, _ []string) {
	cmd := exec.Command("sleep", "60")
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	ts.Setenv("PID", strconv.Itoa(cmd.Process.Pid))
	// Until it has called execve, it is still this test.
	for range 100 {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
		if err == nil && strings.TrimSpace(string(comm)) == "sleep" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("sleep did not start")
}

// appendTo adds text to a file, \n for line breaks: append FILE TEXT.
func appendTo(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteString(strings.ReplaceAll(args[1], `\n`, "\n"))
	ts.Check(err)
	ts.Check(f.Close())
}
