package compile

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hostCalls change the whole machine, whatever capabilities say; Docker's
// profile has none of them without a capability (moby/profiles/seccomp).
var hostCalls = []string{
	"acct", "delete_module", "finit_module", "init_module", "ioperm", "iopl",
	"kexec_file_load", "kexec_load", "open_by_handle_at", "reboot", "settimeofday",
	"stime", "swapoff", "swapon", "vhangup",
}

// Backstop returns the first profile of a bundle that brings none. Our own
// program (Agent), which nemoclaw-init loads, is an allow-list by itself; this
// one keeps two filters over every agent, so that a mistake in one is not the
// end, and is small because libseccomp takes 20 ms over Docker's whole list.
func Backstop() *specs.LinuxSeccomp {
	eperm := uint(unix.EPERM)
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Syscalls:      []specs.LinuxSyscall{{Names: hostCalls, Action: specs.ActErrno, ErrnoRet: &eperm}},
	}
}
