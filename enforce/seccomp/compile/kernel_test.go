package compile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp"
	"github.com/nemoclaw/nemoclaw/enforce/seccomp/compile"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, kerneltest.Children{"calls": calls, "threads": threads, "become": become, "host": host})
}

// attempt is one raw system call and what the agent's program must answer.
type attempt struct {
	Name string
	Nr   uintptr
	Args [6]uintptr
	Want string // an errno's name, or ok
}

const high = 1 << 32 // what the kernel throws away, and a comparison of 64 bits does not

// refusals are calls that the agent may not make. Where the kernel would refuse
// anyway, it would do so with another error.
func refusals() []attempt {
	all := []attempt{
		{"ptrace", unix.SYS_PTRACE, [6]uintptr{unix.PTRACE_TRACEME}, "EPERM"},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, [6]uintptr{uintptr(os.Getpid())}, "EPERM"},
		{"process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, [6]uintptr{uintptr(os.Getpid())}, "EPERM"},
		{"process_madvise", unix.SYS_PROCESS_MADVISE, [6]uintptr{}, "EPERM"},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, [6]uintptr{}, "EPERM"},
		{"kcmp", unix.SYS_KCMP, [6]uintptr{uintptr(os.Getpid()), uintptr(os.Getpid())}, "EPERM"},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uintptr{8}, "EPERM"},
		{"io_uring_enter", unix.SYS_IO_URING_ENTER, [6]uintptr{^uintptr(0)}, "EPERM"},
		{"io_uring_register", unix.SYS_IO_URING_REGISTER, [6]uintptr{^uintptr(0)}, "EPERM"},
		{"bpf", unix.SYS_BPF, [6]uintptr{}, "EPERM"},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [6]uintptr{}, "EPERM"},
		{"userfaultfd", unix.SYS_USERFAULTFD, [6]uintptr{1}, "EPERM"},
		{"add_key", unix.SYS_ADD_KEY, [6]uintptr{}, "EPERM"},
		{"request_key", unix.SYS_REQUEST_KEY, [6]uintptr{}, "EPERM"},
		{"keyctl", unix.SYS_KEYCTL, [6]uintptr{}, "EPERM"},
		{"mount", unix.SYS_MOUNT, [6]uintptr{}, "EPERM"},
		{"umount2", unix.SYS_UMOUNT2, [6]uintptr{}, "EPERM"},
		{"pivot_root", unix.SYS_PIVOT_ROOT, [6]uintptr{}, "EPERM"},
		{"chroot", unix.SYS_CHROOT, [6]uintptr{}, "EPERM"},
		{"open_tree", unix.SYS_OPEN_TREE, [6]uintptr{}, "EPERM"},
		{"open_tree_attr", unix.SYS_OPEN_TREE_ATTR, [6]uintptr{}, "EPERM"},
		{"move_mount", unix.SYS_MOVE_MOUNT, [6]uintptr{}, "EPERM"},
		{"mount_setattr", unix.SYS_MOUNT_SETATTR, [6]uintptr{}, "EPERM"},
		{"fsopen", unix.SYS_FSOPEN, [6]uintptr{}, "EPERM"},
		{"fsconfig", unix.SYS_FSCONFIG, [6]uintptr{}, "EPERM"},
		{"fsmount", unix.SYS_FSMOUNT, [6]uintptr{}, "EPERM"},
		{"fspick", unix.SYS_FSPICK, [6]uintptr{}, "EPERM"},
		{"setns", unix.SYS_SETNS, [6]uintptr{^uintptr(0)}, "EPERM"},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [6]uintptr{}, "EPERM"},
		{"init_module", unix.SYS_INIT_MODULE, [6]uintptr{}, "EPERM"},
		{"finit_module", unix.SYS_FINIT_MODULE, [6]uintptr{^uintptr(0)}, "EPERM"},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [6]uintptr{}, "EPERM"},
		{"swapon", unix.SYS_SWAPON, [6]uintptr{}, "EPERM"},
		{"fanotify_init", unix.SYS_FANOTIFY_INIT, [6]uintptr{}, "EPERM"},
		{"syslog", unix.SYS_SYSLOG, [6]uintptr{10}, "EPERM"},
		{"clone3", unix.SYS_CLONE3, [6]uintptr{}, "ENOSYS"},
		{"a call that is newer than we are", 2000, [6]uintptr{}, "ENOSYS"},
		{"unshare nothing", unix.SYS_UNSHARE, [6]uintptr{0}, "ok"},
		{"personality", unix.SYS_PERSONALITY, [6]uintptr{all32}, "ok"},
		{"personality without ASLR", unix.SYS_PERSONALITY, [6]uintptr{0x0040000}, "EPERM"},
		{"personality without ASLR, high bits", unix.SYS_PERSONALITY, [6]uintptr{0x0040000 | high}, "EPERM"},
	}
	for _, f := range []struct {
		name string
		flag uintptr
	}{{"NEWNS", unix.CLONE_NEWNS}, {"NEWUTS", unix.CLONE_NEWUTS}, {"NEWIPC", unix.CLONE_NEWIPC}, {"NEWUSER", unix.CLONE_NEWUSER},
		{"NEWPID", unix.CLONE_NEWPID}, {"NEWNET", unix.CLONE_NEWNET}, {"NEWCGROUP", unix.CLONE_NEWCGROUP}, {"NEWTIME", unix.CLONE_NEWTIME}} {
		for _, bits := range []uintptr{0, high, high << 10, unix.CLONE_FS} {
			name := fmt.Sprintf("%s|%#x", f.name, bits)
			all = append(all, attempt{"unshare " + name, unix.SYS_UNSHARE, [6]uintptr{f.flag | bits}, "EPERM"})
			if f.flag != unix.CLONE_NEWTIME { // a signal's number, to clone
				all = append(all, attempt{"clone " + name, unix.SYS_CLONE, [6]uintptr{f.flag | bits | uintptr(unix.SIGCHLD)}, "EPERM"})
			}
		}
	}
	for _, bits := range []uintptr{0, high, 0xffffffff00000000} {
		for _, cmd := range []uintptr{unix.TIOCSTI, 0x541c} {
			all = append(all, attempt{fmt.Sprintf("ioctl %#x", cmd|bits), unix.SYS_IOCTL, [6]uintptr{0, cmd | bits}, "EPERM"})
		}
		all = append(all, sockets(bits)...)
	}
	return all
}

const all32 = 0xffffffff

// sockets are attempts at socket(2) with bits that the kernel throws away.
func sockets(bits uintptr) []attempt {
	var all []attempt
	try := func(want string, family, typ, proto uintptr) {
		for _, flags := range []uintptr{0, unix.SOCK_CLOEXEC, unix.SOCK_NONBLOCK} {
			all = append(all, attempt{fmt.Sprintf("socket(%d, %#x, %d) with %#x", family, typ|flags, proto, bits),
				unix.SYS_SOCKET, [6]uintptr{family | bits, typ | flags | bits, proto | bits}, want})
		}
	}
	for _, family := range []uintptr{unix.AF_INET, unix.AF_INET6} {
		try("ok", family, unix.SOCK_STREAM, 0)
		try("ok", family, unix.SOCK_STREAM, unix.IPPROTO_TCP)
		try("ok", family, unix.SOCK_DGRAM, 0)
		try("ok", family, unix.SOCK_DGRAM, unix.IPPROTO_UDP)
		try("EPROTONOSUPPORT", family, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
		try("EPROTONOSUPPORT", family, unix.SOCK_STREAM, 132) // SCTP
		try("EPROTONOSUPPORT", family, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
		try("EPROTONOSUPPORT", family, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6)
		try("EPROTONOSUPPORT", family, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE)
		try("EPROTONOSUPPORT", family, unix.SOCK_DGRAM, 115) // L2TP
		for _, proto := range []uintptr{0, unix.IPPROTO_ICMP, unix.IPPROTO_TCP, unix.IPPROTO_RAW} {
			try("EPERM", family, unix.SOCK_RAW, proto)
			try("EPERM", family, unix.SOCK_PACKET, proto)
		}
		try("EPERM", family, unix.SOCK_SEQPACKET, 132)
		try("EPERM", family, unix.SOCK_DCCP, 0)
	}
	try("ok", unix.AF_UNIX, unix.SOCK_STREAM, 0)
	try("ok", unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	try("ok", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	try("ok", unix.AF_NETLINK, unix.SOCK_DGRAM, unix.NETLINK_ROUTE)
	for proto := uintptr(1); proto < 23; proto++ {
		try("EPROTONOSUPPORT", unix.AF_NETLINK, unix.SOCK_RAW, proto)
	}
	for family := uintptr(0); family < 64; family++ {
		switch family {
		case unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK:
		default:
			try("EAFNOSUPPORT", family, unix.SOCK_DGRAM, 0)
			try("EAFNOSUPPORT", family, unix.SOCK_RAW, 0)
			try("EAFNOSUPPORT", family, unix.SOCK_SEQPACKET, 0)
		}
	}
	var pair [2]int32
	at := uintptr(unsafe.Pointer(&pair))
	for family := uintptr(2); family < 46; family++ {
		all = append(all, attempt{fmt.Sprintf("socketpair(%d)", family), unix.SYS_SOCKETPAIR,
			[6]uintptr{family | bits, unix.SOCK_STREAM, 0, at}, "EAFNOSUPPORT"})
	}
	return all
}

func install(p []byte, err error) error {
	if err != nil {
		return err
	}
	return seccomp.Install(p)
}

// calls installs the agent's program and makes the attempts, one result a line.
func calls([]string) error {
	if err := install(compile.Agent()); err != nil {
		return err
	}
	var wrong []string
	for _, a := range refusals() {
		r, _, errno := unix.RawSyscall6(a.Nr, a.Args[0], a.Args[1], a.Args[2], a.Args[3], a.Args[4], a.Args[5])
		if errno == 0 && a.Nr == unix.SYS_CLONE {
			if r == 0 {
				unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0) // a child that should not be
			}
		}
		got := "ok"
		if errno != 0 {
			got = unix.ErrnoName(errno)
		} else if a.Nr == unix.SYS_SOCKET {
			unix.Close(int(r))
		}
		if got != a.Want {
			wrong = append(wrong, fmt.Sprintf("%s: %s, want %s", a.Name, got, a.Want))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(wrong)
}

func TestRefusals(t *testing.T) {
	r := kerneltest.MustRun(t, kerneltest.Child(t, "calls"))
	var wrong []string
	if err := json.Unmarshal([]byte(r.Stdout), &wrong); err != nil {
		t.Fatalf("%v: %q %q", err, r.Stdout, r.Stderr)
	}
	for _, w := range wrong {
		t.Error(w)
	}
	t.Logf("%d attempts", len(refusals()))
}

// threads checks that a thread that was there before is under the program too.
func threads([]string) error {
	ready, installed := make(chan bool), make(chan bool)
	results := make(chan error)
	for range 8 {
		go func() {
			runtime.LockOSThread()
			ready <- true
			<-installed
			_, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
			results <- err
		}()
		<-ready
	}
	if err := install(compile.Agent()); err != nil {
		return err
	}
	close(installed)
	for range 8 {
		if err := <-results; !errors.Is(err, unix.EAFNOSUPPORT) {
			return fmt.Errorf("a thread made a socket of AF_VSOCK: %v", err)
		}
	}
	return nil
}

func TestThreads(t *testing.T) { kerneltest.MustRun(t, kerneltest.Child(t, "threads")) }

// become installs the agent's program and executes a program under it.
func become(args []string) error {
	if err := install(compile.Agent()); err != nil {
		return err
	}
	return unix.Exec(args[0], args, os.Environ())
}

// TestForeignEntries: the program ends calls by the 32-bit entry, and answers
// those by x32's as a kernel without it.
func TestForeignEntries(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		return // arm64 has no entry that can be had from within a 64-bit program
	}
	dir := t.TempDir()
	for name, c := range map[string]struct {
		call   string
		status int
		signal syscall.Signal
	}{
		// getpid by int $0x80, and socketcall, which no filter can look into.
		"getpid32":     {"mov $20, %eax; int $0x80", -1, unix.SIGSYS},
		"socketcall32": {"mov $102, %eax; int $0x80", -1, unix.SIGSYS},
		"execve32":     {"mov $11, %eax; int $0x80", -1, unix.SIGSYS},
		// getpid with the bit of x32: ENOSYS is -38.
		"getpidx32": {"mov $0x40000027, %eax; syscall; cmp $-38, %rax; jne 1f; mov $77, %edi; mov $60, %eax; syscall; 1:", 77, 0},
		"socketx32": {"mov $0x40000029, %eax; mov $40, %edi; syscall; cmp $-38, %rax; jne 1f; mov $77, %edi; mov $60, %eax; syscall; 1:", 77, 0},
	} {
		source := fmt.Sprintf("__asm__(\".globl _start\\n_start: %s; mov $1, %%edi; mov $60, %%eax; syscall\");\n", c.call)
		src, exe := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
		if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cc", "-nostdlib", "-static", "-o", exe, src).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		r := kerneltest.Run(t, kerneltest.Child(t, "become", exe))
		if r.Status != c.status || r.Signal != c.signal {
			t.Errorf("%s: status %d, signal %v; want %d, %v", name, r.Status, r.Signal, c.status, c.signal)
		}
	}
}

// TestOrdinaryProgramsRun: what agents are made of works under the program.
func TestOrdinaryProgramsRun(t *testing.T) {
	for _, script := range []string{
		"echo hello | cat | grep -q hello",
		"t=$(mktemp) && ls -l /proc/self/fd > $t && cp $t $t.2 && mv $t.2 $t && rm $t",
		"find /etc -maxdepth 1 | sort | head -3 | xargs -n1 echo > /dev/null",
		"getent hosts localhost",
		"sleep 0.01 & wait",
		"timeout 1 sleep 0.01",
		"tar cf /dev/null /etc/hostname",
		"bash -c 'exec 3<>/dev/null; read -t 0.01 x <&3; ulimit -n 100; trap : USR1; kill -USR1 $$'",
		"perl -e 'my $p = fork; exit 0 unless $p; waitpid($p, 0); exit $?'",
		"curl --version > /dev/null",
		"go version 2>/dev/null || /usr/local/go/bin/go version",
	} {
		r := kerneltest.Run(t, kerneltest.Child(t, "become", "/bin/sh", "-c", script))
		if r.Status != 0 {
			t.Errorf("%s: status %d, signal %v: %s%s", script, r.Status, r.Signal, r.Stdout, r.Stderr)
		}
	}
	for script, want := range map[string]string{
		"unshare -Ur true":         "Operation not permitted",
		"unshare -n true":          "Operation not permitted",
		"ping -c1 127.0.0.1":       "",
		"mount -t tmpfs none /mnt": "",
		"nft flush ruleset":        "",
		"setarch -R true":          "",
		"strace true":              "",
		"tcpdump -c1 -i lo":        "",
		"nsenter -t 1 -n true":     "",
	} {
		name := strings.Fields(script)[0]
		if _, err := exec.LookPath(name); err != nil {
			continue // one more, where it is installed
		}
		r := kerneltest.Run(t, kerneltest.Child(t, "become", "/bin/sh", "-c", script))
		if r.Status == 0 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: status %d, %q", script, r.Status, r.Stderr)
		}
	}
}
