package seccomp

import (
	"slices"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestAgentAgainstDocker: what we allow without conditions is what Docker
// allows without conditions to a container without capabilities, less what is
// refused by name. A new version of Docker's list shows up here.
func TestAgentAgainstDocker(t *testing.T) {
	profile, err := moby.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		t.Fatal(err)
	}
	docker, ours := map[string]bool{}, map[string]bool{}
	for _, s := range profile.Syscalls {
		for _, name := range s.Names {
			if s.Action == specs.ActAllow {
				docker[name] = true
			}
		}
	}
	refused := map[string]bool{}
	for _, r := range agentRefused() {
		for _, name := range r.Calls {
			refused[name] = true
		}
	}
	for _, r := range slices.Concat(agentSockets(), agentConditional(), agentAllowed()) {
		for _, name := range r.Calls {
			ours[name] = true
			if !docker[name] && !beyondDocker[name] {
				t.Errorf("%s: allowed, and not by Docker", name)
			}
			if refused[name] {
				t.Errorf("%s: refused and allowed", name)
			}
		}
	}
	for name := range docker {
		if !ours[name] && !refused[name] && !only32[name] {
			t.Errorf("%s: allowed by Docker, and neither allowed nor refused by name here", name)
		}
	}
}

// beyondDocker are calls that Docker does not allow, or that its list has for
// another machine only.
var beyondDocker = map[string]bool{
	"unshare": true, // without namespaces; Docker's own profile still refuses it
	// For arm64; the profile is the running machine's.
	"arm_fadvise64_64": true, "arm_sync_file_range": true, "sync_file_range2": true,
	"breakpoint": true, "cacheflush": true, "set_tls": true, "arch_prctl": true,
}

// only32 are calls that only 32-bit entries have, which are refused as a whole.
var only32 = func() map[string]bool {
	m := map[string]bool{}
	for _, n := range []string{
		"_llseek", "_newselect", "chown32", "clock_adjtime64", "clock_getres_time64", "clock_gettime64",
		"clock_nanosleep_time64", "fadvise64_64", "fchown32", "fcntl64", "fstat64", "fstatat64", "fstatfs64",
		"ftruncate64", "futex_time64", "getegid32", "geteuid32", "getgid32", "getgroups32", "getresgid32",
		"getresuid32", "getuid32", "io_pgetevents_time64", "ipc", "lchown32", "lstat64", "mmap2",
		"mq_timedreceive_time64", "mq_timedsend_time64", "ppoll_time64", "pselect6_time64", "recv",
		"recvmmsg_time64", "riscv_hwprobe", "rt_sigtimedwait_time64", "sched_rr_get_interval_time64",
		"semtimedop_time64", "send", "sendfile64", "setfsgid32", "setfsuid32", "setgid32", "setgroups32",
		"setregid32", "setresgid32", "setresuid32", "setreuid32", "setuid32", "sigprocmask", "sigreturn",
		"socketcall", "stat64", "statfs64", "timer_gettime64", "timer_settime64", "timerfd_gettime64",
		"timerfd_settime64", "truncate64", "ugetrlimit", "utimensat_time64", "waitpid",
	} {
		m[n] = true
	}
	return m
}()

func filters() []Filter { return []Filter{Agent(), Supervisor(), Broker()} }

func TestEveryRuleHasAReason(t *testing.T) {
	for _, f := range filters() {
		if f.Default == Allow {
			t.Errorf("%s: allows what it does not know", f.Name)
		}
		for _, r := range f.Rules {
			if r.Why == "" || len(r.Calls) == 0 {
				t.Errorf("%s: rule %+v", f.Name, r)
			}
		}
	}
}

// TestNoDeadRules: a rule behind an unconditional one for the same call would
// be read and not be in force.
func TestNoDeadRules(t *testing.T) {
	for _, f := range filters() {
		decided := map[string]bool{}
		for _, r := range f.Rules {
			for _, name := range r.Calls {
				if decided[name] {
					t.Errorf("%s: %q has a rule behind one without conditions: %s", f.Name, name, r.Why)
				}
				decided[name] = decided[name] || len(r.When) == 0
			}
		}
	}
}
