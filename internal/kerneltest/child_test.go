package kerneltest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main(m, Children{
		"say":  func(args []string) error { os.Stdout.WriteString(strings.Join(args, ",")); return nil },
		"fail": func([]string) error { return errors.New("it went wrong") },
		"die":  func([]string) error { return unix.Kill(os.Getpid(), unix.SIGKILL) },
		"who": func([]string) error {
			if os.Getuid() != 0 {
				return errors.New("not root in the user namespace")
			}
			return unix.Sethostname([]byte("elsewhere"))
		},
	})
}

// TestLeak opens a descriptor and forgets it, when TestLeakFailsTheRun says so.
func TestLeak(t *testing.T) {
	if os.Getenv("NEMOCLAW_TEST_LEAK") == "" {
		return
	}
	if _, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
}

func TestLeakFailsTheRun(t *testing.T) {
	for leak, want := range map[string]int{"": 0, "yes": 1} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLeak$")
		cmd.Env = append(os.Environ(), "NEMOCLAW_TEST_LEAK="+leak)
		r := Run(t, cmd)
		if r.Status != want || (want == 1) != strings.Contains(r.Stderr, "/dev/null") {
			t.Errorf("leak %q: status %d, %q", leak, r.Status, r.Stderr)
		}
	}
}

func TestChildren(t *testing.T) {
	if r := MustRun(t, Child(t, "say", "a", "b")); r.Stdout != "a,b" {
		t.Errorf("%+v", r)
	}
	if r := Run(t, Child(t, "fail")); r.Status != 1 || r.Stderr != "it went wrong\n" {
		t.Errorf("%+v", r)
	}
	if r := Run(t, Child(t, "die")); r.Signal != unix.SIGKILL || r.Status != -1 {
		t.Errorf("%+v", r)
	}
	if r := Run(t, Child(t, "nobody")); r.Status != 3 {
		t.Errorf("%+v", r)
	}
	cmd := Child(t, "who")
	UserNamespace(t, cmd, unix.CLONE_NEWUTS)
	MustRun(t, cmd)
}

func TestNetns(t *testing.T) {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	ns := Netns(t)
	for range 3 {
		var there string
		In(t, ns, func() (err error) {
			there, err = os.Readlink("/proc/thread-self/ns/net")
			return err
		})
		if there == here || there == "" {
			t.Errorf("in %q, from %q", there, here)
		}
	}
	if now, _ := os.Readlink("/proc/thread-self/ns/net"); now != here {
		t.Errorf("this thread is in %q", now)
	}
}

// askedForNothing is a testing.TB that notes how it was ended.
type askedForNothing struct {
	testing.TB
	skipped, failed bool
}

func (a *askedForNothing) Helper()               {}
func (a *askedForNothing) Skipf(string, ...any)  { a.skipped = true }
func (a *askedForNothing) Fatalf(string, ...any) { a.failed = true }

func TestSkipFailsWhatWasAskedFor(t *testing.T) {
	for _, tt := range []struct {
		asked        string
		reason       Reason
		skip, failed bool
	}{
		{"", NotRoot, true, false}, {"root", NotRoot, false, true},
		{"root", NoEngine, false, true}, {"root", NoLandlock, true, false},
	} {
		t.Setenv(environment, tt.asked)
		var a askedForNothing
		func() {
			Skip(&a, tt.reason, "x")
		}()
		if a.failed != tt.failed || (!tt.failed && a.skipped != tt.skip) {
			t.Errorf("%+v: %+v", tt, a)
		}
	}
}
