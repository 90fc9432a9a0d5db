// Package stubtest tests nemoclaw-init, the C program in the directory above,
// which has no place for Go files of its own.
package stubtest

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, kerneltest.Children{"limited": limited, "observe": observe})
}

// build compiles the stub with the script that the Makefile uses.
func build(t *testing.T, cc string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "nemoclaw-init")
	cmd := exec.Command("../build.sh", out)
	cmd.Env = append(os.Environ(), "CC="+cc)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the stub: %v\n%s", err, b)
	}
	return out
}

// program is a seccomp program that allows all but the given call, which it
// answers with errno.
func program(nr, errno uint32) []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | errno},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
}

func encode(t *testing.T, prog []unix.SockFilter) []byte {
	t.Helper()
	var b []byte
	for _, i := range prog {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

func fileWith(t *testing.T, content []byte) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

// ruleset allows reading and executing below each path.
func ruleset(t *testing.T, paths ...string) *os.File {
	t.Helper()
	abi, err := landlock.ABI()
	if err != nil {
		kerneltest.Skip(t, kerneltest.NoLandlock, "%v", err)
	}
	r, err := landlock.NewRuleset(abi, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		err = landlock.AddPath(r, f, landlock.Rights(abi, false, true, false))
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// start makes the command as the runtime does: the stub's own descriptor is 3,
// then the ruleset and the program; a nil one is -1.
func start(t *testing.T, stub string, rules, prog *os.File, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Open(stub)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { self.Close() })
	extra := []*os.File{self}
	number := func(f *os.File) string {
		if f == nil {
			return "-1"
		}
		extra = append(extra, f)
		return strconv.Itoa(2 + len(extra))
	}
	argv := []string{"/proc/self/fd/3", "3", number(rules), number(prog)}
	cmd := &exec.Cmd{Path: "/proc/self/fd/3", Args: append(argv, args...), ExtraFiles: extra}
	cmd.Env = []string{"PATH=/nowhere:relative::/usr/bin:/bin", "KEEP=me"}
	// The stub's descriptor has its number only after the fork: have a shell
	// there that executes it, as libcontainer's init does.
	cmd.Path = "/bin/sh"
	cmd.Args = append([]string{"sh", "-c", `exec "$0" "$@"`}, cmd.Args...)
	return cmd
}

func expect(t *testing.T, r kerneltest.Result, status int, stderr string) {
	t.Helper()
	if r.Status != status || !strings.Contains(r.Stderr, stderr) {
		t.Errorf("status %d, stderr %q; want %d, %q", r.Status, r.Stderr, status, stderr)
	}
}

func TestRunsTheProgramRestricted(t *testing.T) {
	stub := build(t, "cc")
	prog := fileWith(t, encode(t, program(unix.SYS_UNAME, uint32(unix.ENOTNAM))))
	r := kerneltest.Run(t, start(t, stub, ruleset(t, "/usr", "/bin", "/lib", "/proc"), prog, "sh", "-c",
		`echo $(ls /proc/self/fd); grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status
		echo $KEEP "$0" "$@"; cat /etc/passwd; uname`, "zero", "one", ""))
	// 3 is the directory that ls reads.
	want := "0 1 2 3\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\nme zero one \n"
	if r.Stdout != want {
		t.Errorf("stdout %q, want %q\n%s", r.Stdout, want, r.Stderr)
	}
	for _, w := range []string{"/etc/passwd: Permission denied", "uname: cannot get system name"} {
		if !strings.Contains(r.Stderr, w) {
			t.Errorf("stderr %q has no %q", r.Stderr, w)
		}
	}
}

func TestNotFoundAndNotExecutable(t *testing.T) {
	stub := build(t, "cc")
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no format\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tests := []struct {
		prog   string
		status int
		stderr string
	}{
		{"no-such-program", 127, `exec: "no-such-program": executable file not found in $PATH`},
		{"/no/such/program", 127, `exec: "/no/such/program": no such file or directory`},
		{"", 127, "executable file not found in $PATH"},
		{"/etc/passwd", 126, "permission denied"},
		{"/etc/passwd/x", 127, "not a directory"},
		{dir, 126, "permission denied"},
		{text, 126, "exec format error"},
		{strings.Repeat("x", 5000), 127, "executable file not found in $PATH"},
		{"/" + strings.Repeat("x", 5000), 126, "file name too long"},
	}
	for _, tt := range tests {
		expect(t, kerneltest.Run(t, start(t, stub, nil, nil, tt.prog)), tt.status, tt.stderr)
	}
}

// TestRelativePathElements: an agent must not be found in its working directory.
func TestRelativePathElements(t *testing.T) {
	stub := build(t, "cc")
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "relative"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"here", "relative/here"} {
		if err := os.WriteFile(filepath.Join(dir, p), []byte("#!/bin/sh\necho wrong\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := start(t, stub, nil, nil, "here")
	cmd.Dir = dir
	expect(t, kerneltest.Run(t, cmd), 127, "not found")
	cmd = start(t, stub, nil, nil, "sh", "-c", "true")
	cmd.Env = []string{"KEEP=me"}
	cmd.Path = "/bin/sh"
	expect(t, kerneltest.Run(t, cmd), 127, "not found")
}

// TestNeverUnrestricted: a step that fails ends in no program at all.
func TestNeverUnrestricted(t *testing.T) {
	stub := build(t, "cc")
	good := encode(t, program(unix.SYS_UNAME, 1))
	tests := []struct {
		name   string
		rules  *os.File
		prog   *os.File
		stderr string
	}{
		{"not a ruleset", fileWith(t, nil), nil, "entering the Landlock domain"},
		{"empty program", ruleset(t, "/"), fileWith(t, nil), "reading the seccomp program"},
		{"cut program", ruleset(t, "/"), fileWith(t, good[:12]), "reading the seccomp program"},
		{"program too long", ruleset(t, "/"), fileWith(t, make([]byte, 4097*8)), "reading the seccomp program"},
		{"program of nonsense", ruleset(t, "/"), fileWith(t, make([]byte, 4096*8)), "installing the seccomp program"},
		{"ruleset without the program", ruleset(t, "/proc"), nil, "permission denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := kerneltest.Run(t, start(t, stub, tt.rules, tt.prog, "/bin/echo", "ran"))
			expect(t, r, 126, tt.stderr)
			if r.Stdout != "" {
				t.Errorf("the program ran: %q", r.Stdout)
			}
		})
	}
}

// TestEngineRefusesOurCalls: a profile that refuses one of our steps stops the start.
func TestEngineRefusesOurCalls(t *testing.T) {
	stub := build(t, "cc")
	good := fileWith(t, encode(t, program(unix.SYS_UNAME, 1)))
	for _, nr := range []uint32{unix.SYS_LANDLOCK_RESTRICT_SELF, unix.SYS_SECCOMP, unix.SYS_PRCTL, unix.SYS_PREAD64} {
		outer := fileWith(t, encode(t, program(nr, uint32(unix.EPERM))))
		// The stub itself puts the outer filter on, then runs the stub again.
		cmd := start(t, stub, nil, outer, stub, "9", "3", "5", "/bin/echo", "ran")
		cmd.ExtraFiles = []*os.File{cmd.ExtraFiles[0], outer, good, ruleset(t, "/")}
		// S is 3, the outer program 4; in the second stub: ruleset 6, program 5.
		cmd.Args[len(cmd.Args)-4] = "6"
		r := kerneltest.Run(t, cmd)
		expect(t, r, 126, "operation not permitted")
		if r.Stdout != "" {
			t.Errorf("call %d refused: the program ran: %q", nr, r.Stdout)
		}
	}
}

func TestFilterFromAPipe(t *testing.T) {
	stub := build(t, "cc")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		defer w.Close()
		for _, b := range encode(t, program(unix.SYS_UNAME, uint32(unix.EPERM))) {
			w.Write([]byte{b})
		}
	}()
	res := kerneltest.Run(t, start(t, stub, nil, r, "uname"))
	if res.Status == 0 {
		t.Errorf("a program from a pipe was not installed")
	}
}

// TestSharedProgramFile: the file's offset is nobody's business.
func TestSharedProgramFile(t *testing.T) {
	stub := build(t, "cc")
	f := fileWith(t, encode(t, program(unix.SYS_UNAME, uint32(unix.EPERM))))
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := kerneltest.Run(t, start(t, stub, nil, f, "uname")); r.Status == 0 {
			t.Errorf("the program was not installed: %q", r.Stderr)
		}
	}
}

func TestBadArguments(t *testing.T) {
	stub := build(t, "cc")
	for _, args := range [][]string{
		{"3", "-1", "-1"}, {"3", "-1"}, {}, {"3", "x", "-1", "/bin/true"}, {"3", "-2", "-1", "/bin/true"},
		{"3", "", "-1", "/bin/true"}, {"3", "99999999999999999999", "-1", "/bin/true"},
		{"3", "17", "-1", "/bin/true"}, {"3", "-1", "17", "/bin/true"},
	} {
		r := kerneltest.Run(t, exec.Command(stub, args...))
		if r.Status != 126 || !strings.HasPrefix(r.Stderr, "nemoclaw-init: ") {
			t.Errorf("%q: status %d, %q", args, r.Status, r.Stderr)
		}
	}
}

// limited executes the stub under an address space of 2 MiB, in which neither
// Go nor glibc starts.
func limited(args []string) error {
	two := unix.Rlimit{Cur: 2 << 20, Max: 2 << 20}
	if err := unix.Setrlimit(unix.RLIMIT_AS, &two); err != nil {
		return err
	}
	return unix.Exec(args[0], args, nil)
}

// TestSmallAddressSpace: the stub executes another stub, the one program that
// is sure to fit.
func TestSmallAddressSpace(t *testing.T) {
	stub := build(t, "cc")
	r := kerneltest.Run(t, kerneltest.Child(t, "limited", stub, "9", "-1", "-1", stub, "9", "-1", "-1", "/no/such"))
	expect(t, r, 127, "no such file")
}

// observe checks from inside a user namespace, as an ordinary user, that the
// restrictions need no privilege.
func observe(args []string) error {
	return unix.Exec("/bin/sh", append([]string{"sh", "-c", `exec "$0" "$@"`}, args...), os.Environ())
}

func TestUnprivileged(t *testing.T) {
	stub := build(t, "cc")
	if err := os.Chmod(filepath.Dir(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	prog := fileWith(t, encode(t, program(unix.SYS_UNAME, uint32(unix.EPERM))))
	cmd := start(t, stub, ruleset(t, "/usr", "/bin", "/lib", "/proc"), prog, "sh", "-c", "cat /etc/passwd && echo read; uname && echo named; true")
	user := kerneltest.Child(t, "observe", cmd.Args[3:]...)
	user.ExtraFiles, user.Env = cmd.ExtraFiles, append(user.Env, cmd.Env...)
	kerneltest.UserNamespace(t, user, 0)
	r := kerneltest.Run(t, user)
	expect(t, r, 0, "Permission denied")
	if r.Stdout != "" {
		t.Errorf("stdout %q", r.Stdout)
	}
}

// TestTheFile: small, static, no relocations, no executable stack or data.
func TestTheFile(t *testing.T) {
	stub := build(t, "cc")
	checkFile(t, stub)
	other := build(t, "cc")
	a, err := os.ReadFile(stub)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("two builds differ")
	}
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > 20<<10 {
		t.Errorf("%d bytes, want at most 20 KiB", st.Size())
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		switch {
		case p.Type == elf.PT_INTERP, p.Type == elf.PT_DYNAMIC:
			t.Errorf("has a %v segment", p.Type)
		case p.Type == elf.PT_GNU_STACK && p.Flags&elf.PF_X != 0:
			t.Errorf("the stack is executable")
		case p.Type == elf.PT_LOAD && p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X:
			t.Errorf("a segment is writable and executable")
		}
	}
}

func TestOtherArchitecture(t *testing.T) {
	cc := "aarch64-linux-gnu-gcc"
	if _, err := exec.LookPath(cc); err != nil {
		kerneltest.Skip(t, kerneltest.NoCompiler, "%s", cc)
	}
	stub := build(t, cc)
	checkFile(t, stub)
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		return
	}
	r := kerneltest.Run(t, exec.Command(qemu, stub, "3", "-1", "-1", "/no/such"))
	expect(t, r, 127, fmt.Sprintf("exec: %q: no such file or directory", "/no/such"))
}
