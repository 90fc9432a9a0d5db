package posture

import (
	"errors"
	"os"
	"os/exec"
	"reflect"
	"testing"
)

func TestParseStatus(t *testing.T) {
	var p Process
	p.parseStatus("Name:\tnode\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t6\t7\t8\nCapInh:\t0000000000000000\n" +
		"CapPrm:\t0000000000000401\nCapEff:\t0000000000000400\nCapBnd:\t8000000000000001\nCapAmb:\tzz\n" +
		"NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n")
	want := Process{
		Command: "node", UID: 1001, GID: 6, NoNewPrivileges: true, Seccomp: 2, SeccompFilters: 2,
		Inheritable: []string{}, Permitted: []string{"CAP_CHOWN", "CAP_NET_BIND_SERVICE"},
		Effective: []string{"CAP_NET_BIND_SERVICE"}, Bounding: []string{"CAP_CHOWN", "CAP_63"},
		Ambient: []string{"unreadable"},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
}

func TestOldKernelLooksWeak(t *testing.T) {
	var p Process
	p.parseStatus("Name:\tx\n")
	if p.NoNewPrivileges || p.Seccomp != 0 || p.SeccompFilters != -1 {
		t.Errorf("%+v", p)
	}
}

func TestReadSelf(t *testing.T) {
	p, err := Read(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if p.UID != uint32(os.Geteuid()) || len(p.OwnNamespaces) != 0 || !p.Shares("net") {
		t.Errorf("%+v", p)
	}
}

func TestGone(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(cmd.Process.Pid, 0); !errors.Is(err, ErrGone) {
		t.Errorf("an ended process: %v", err)
	}
	if _, err := Read(os.Getpid(), 1); !errors.Is(err, ErrGone) {
		t.Errorf("a process of another start time: %v", err)
	}
}
