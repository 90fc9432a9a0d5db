package compile_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp/compile"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

// host installs a filter of one of our own processes and tries what it must
// not be able to do, and what it must.
func host(args []string) error {
	prog, err := compile.Supervisor()
	if args[0] == "broker" {
		prog, err = compile.Broker()
	}
	if err := install(prog, err); err != nil {
		return err
	}
	var wrong []error
	for _, a := range hostAttempts(args[0] == "broker") {
		_, _, errno := unix.RawSyscall6(a.Nr, a.Args[0], a.Args[1], a.Args[2], a.Args[3], a.Args[4], a.Args[5])
		got := "ok"
		if errno != 0 {
			got = unix.ErrnoName(errno)
		}
		if got != a.Want {
			wrong = append(wrong, fmt.Errorf("%s: %s, want %s", a.Name, got, a.Want))
		}
	}
	proc, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if started := err == nil; started != (args[0] == "broker") {
		wrong = append(wrong, fmt.Errorf("starting a process: %v", err))
	} else if started {
		if _, err := proc.Wait(); err != nil {
			wrong = append(wrong, err)
		}
	}
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
		wrong = append(wrong, errors.New("listens"))
	}
	// A Go program goes on: threads, timers, garbage.
	done := make(chan int)
	for i := range 20 {
		go func() {
			runtime.LockOSThread()
			runtime.GC()
			done <- len(strings.Repeat("x", i<<10))
		}()
	}
	for range 20 {
		<-done
	}
	return errors.Join(wrong...)
}

func hostAttempts(broker bool) []attempt {
	all := []attempt{
		{"ptrace", unix.SYS_PTRACE, [6]uintptr{unix.PTRACE_TRACEME}, "EPERM"},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, [6]uintptr{uintptr(os.Getpid())}, "EPERM"},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, [6]uintptr{}, "EPERM"},
		{"mount", unix.SYS_MOUNT, [6]uintptr{}, "EPERM"},
		{"unshare", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWUSER}, "EPERM"},
		{"chroot", unix.SYS_CHROOT, [6]uintptr{}, "EPERM"},
		{"bpf", unix.SYS_BPF, [6]uintptr{}, "EPERM"},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uintptr{8}, "EPERM"},
		{"init_module", unix.SYS_INIT_MODULE, [6]uintptr{}, "EPERM"},
		{"keyctl", unix.SYS_KEYCTL, [6]uintptr{}, "EPERM"},
		{"memfd_create", unix.SYS_MEMFD_CREATE, [6]uintptr{}, "EPERM"},
		{"execveat", unix.SYS_EXECVEAT, [6]uintptr{}, "EPERM"},
		{"listen", unix.SYS_LISTEN, [6]uintptr{^uintptr(0)}, "EPERM"},
		{"clone3", unix.SYS_CLONE3, [6]uintptr{}, "ENOSYS"},
		{"raw socket", unix.SYS_SOCKET, [6]uintptr{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, "EAFNOSUPPORT"},
		{"packet socket", unix.SYS_SOCKET, [6]uintptr{unix.AF_PACKET, unix.SOCK_RAW}, "EAFNOSUPPORT"},
		{"netfilter", unix.SYS_SOCKET, [6]uintptr{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, "EAFNOSUPPORT"},
		{"netfilter, high bits", unix.SYS_SOCKET, [6]uintptr{unix.AF_NETLINK | high, unix.SOCK_RAW, unix.NETLINK_NETFILTER | high}, "EAFNOSUPPORT"},
		{"clone into a user namespace", unix.SYS_CLONE, [6]uintptr{unix.CLONE_NEWUSER | high | uintptr(unix.SIGCHLD)}, "EPERM"},
		{"setns, user", unix.SYS_SETNS, [6]uintptr{^uintptr(0), unix.CLONE_NEWUSER}, "EPERM"},
		{"setns, any", unix.SYS_SETNS, [6]uintptr{^uintptr(0), 0}, "EPERM"},
		{"setns, mount", unix.SYS_SETNS, [6]uintptr{^uintptr(0), unix.CLONE_NEWNS | high}, "EPERM"},
	}
	if broker {
		return append(all, attempt{"setns, network", unix.SYS_SETNS, [6]uintptr{^uintptr(0), unix.CLONE_NEWNET}, "EBADF"})
	}
	return append(all,
		attempt{"setns, network", unix.SYS_SETNS, [6]uintptr{^uintptr(0), unix.CLONE_NEWNET}, "EPERM"},
		attempt{"a process", unix.SYS_CLONE, [6]uintptr{uintptr(unix.SIGCHLD)}, "EPERM"},
		attempt{"execve", unix.SYS_EXECVE, [6]uintptr{}, "EPERM"},
		attempt{"kill", unix.SYS_KILL, [6]uintptr{uintptr(os.Getpid()), 0}, "EPERM"},
		attempt{"setuid", unix.SYS_SETUID, [6]uintptr{0}, "EPERM"})
}

func TestHostFilters(t *testing.T) {
	for _, who := range []string{"supervisor", "broker"} {
		if r := kerneltest.Run(t, kerneltest.Child(t, "host", who)); r.Status != 0 {
			t.Errorf("%s: status %d, %v\n%s%s", who, r.Status, r.Signal, r.Stdout, r.Stderr)
		}
	}
}
