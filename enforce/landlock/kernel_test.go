package landlock_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, kerneltest.Children{"try": try})
}

// ruleset is the descriptor's number in a child; wait is a pipe that the parent
// closes when the child may restrict itself.
const (
	rulesetFD = 3
	waitFD    = 4
)

// try restricts itself with the ruleset on rulesetFD as soon as waitFD is at
// its end, does what the arguments say, and prints one errno per line.
func try(args []string) error {
	ruleset := os.NewFile(rulesetFD, "ruleset")
	io.ReadAll(os.NewFile(waitFD, "wait"))
	if err := landlock.RestrictProcess(ruleset); err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "after" {
		// The parent adds a rule now; then it lets this child go on.
		fmt.Println("restricted")
		io.ReadAll(os.Stdin)
		args = args[1:]
	}
	for _, a := range args {
		act, object, _ := strings.Cut(a, "=")
		fmt.Printf("%s %s\n", act, word(acts[act](object)))
	}
	return nil
}

func word(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	default:
		return err.Error()
	}
}

var acts = map[string]func(string) error{
	"read":     func(p string) error { _, err := os.ReadFile(p); return err },
	"list":     func(p string) error { _, err := os.ReadDir(p); return err },
	"write":    func(p string) error { return openClose(p, unix.O_WRONLY) },
	"create":   func(p string) error { return openClose(p, unix.O_WRONLY|unix.O_CREAT) },
	"truncate": func(p string) error { return unix.Truncate(p, 0) },
	"mkdir":    func(p string) error { return unix.Mkdir(p, 0o755) },
	"remove":   func(p string) error { return unix.Unlink(p) },
	"symlink":  func(p string) error { return unix.Symlink("/etc", p) },
	"fifo":     func(p string) error { return unix.Mkfifo(p, 0o600) },
	// Overlayfs's whiteout is a node that needs no capability to make.
	"whiteout": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o600, 0) },
	"block":    func(p string) error { return unix.Mknod(p, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))) },
	"rename":   func(p string) error { from, to, _ := strings.Cut(p, ","); return unix.Rename(from, to) },
	"link":     func(p string) error { from, to, _ := strings.Cut(p, ","); return unix.Link(from, to) },
	"execute":  func(p string) error { return execute(p) },
	"threads":  func(p string) error { return readOnThreads(p) },
	"ioctl": func(p string) error {
		fd, err := unix.Open(p, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		_, err = unix.IoctlGetInt(fd, unix.TCGETS)
		return err
	},
	"signal": func(p string) error {
		pid, err := strconv.Atoi(p)
		if err != nil {
			return err
		}
		return unix.Kill(pid, 0)
	},
	"abstract": func(p string) error {
		// By hand: package net would bring cgo in, and AllThreadsSyscall needs
		// a program without.
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + p})
	},
	"mount": func(p string) error { return unix.Mount("none", p, "tmpfs", 0, "") },
}

func openClose(p string, flags int) error {
	fd, err := unix.Open(p, flags|unix.O_CLOEXEC, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func execute(p string) error {
	proc, err := os.StartProcess(p, []string{p}, &os.ProcAttr{})
	if err != nil {
		return err
	}
	_, err = proc.Wait()
	return err
}

// readOnThreads reads on many threads that exist before it looks.
func readOnThreads(p string) error {
	var wg sync.WaitGroup
	errs := make(chan error, 32)
	for range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := os.ReadFile(p)
			errs <- err
		}()
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err == nil {
			return nil // one thread got through
		}
	}
	return unix.EACCES
}

// abi returns the kernel's ABI, or skips where it is lower than the test needs.
func abi(t *testing.T, least int) int {
	t.Helper()
	v, err := landlock.ABI()
	if err != nil || v < least {
		kerneltest.Skip(t, kerneltest.NoLandlock, "ABI %d of %d: %v", v, least, err)
	}
	return v
}

// rule is one path and its rights, as the runtime would give them.
type rule struct {
	path                 string
	write, isDir, device bool
}

// attempt runs acts in a child under the rules, which are added after the child
// has its copy of the ruleset, and returns the errno of each act.
func attempt(t *testing.T, scoped landlock.Scope, rules []rule, args ...string) []string {
	t.Helper()
	v := abi(t, 1)
	ruleset, err := landlock.NewRuleset(v, scoped)
	if err != nil {
		t.Fatal(err)
	}
	defer ruleset.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := kerneltest.Child(t, "try", args...)
	cmd.ExtraFiles = []*os.File{ruleset, r}
	go func() {
		defer w.Close()
		for _, rule := range rules {
			if err := add(ruleset, v, rule); err != nil {
				t.Error(err)
			}
		}
	}()
	res := kerneltest.MustRun(t, cmd)
	var words []string
	for _, line := range strings.Split(strings.TrimSpace(res.Stdout), "\n") {
		_, w, _ := strings.Cut(line, " ")
		words = append(words, w)
	}
	return words
}

func add(ruleset *os.File, abi int, r rule) error {
	path, err := openPath(r.path)
	if err != nil {
		return err
	}
	defer path.Close()
	return landlock.AddPath(ruleset, path, landlock.Rights(abi, r.write, r.isDir, r.device))
}

func openPath(p string) (*os.File, error) {
	fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), p), nil
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// tree makes ro/file, rw/file, rw/sub and off/file.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"ro", "rw", "rw/sub", "off"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"ro/file", "rw/file", "off/file", "rw/sub/file"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("#!/bin/true\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadOnlyAndReadWrite(t *testing.T) {
	d := tree(t)
	rules := []rule{{path: d + "/ro", isDir: true}, {path: d + "/rw", isDir: true, write: true}}
	want(t, attempt(t, 0, rules,
		"read="+d+"/ro/file", "list="+d+"/ro", "write="+d+"/ro/file", "create="+d+"/ro/new", "mkdir="+d+"/ro/d", "remove="+d+"/ro/file", "symlink="+d+"/ro/s"),
		"ok", "ok", "EACCES", "EACCES", "EACCES", "EACCES", "EACCES")
	want(t, attempt(t, 0, rules,
		"read="+d+"/rw/file", "write="+d+"/rw/file", "create="+d+"/rw/new", "mkdir="+d+"/rw/d", "symlink="+d+"/rw/s", "fifo="+d+"/rw/f", "remove="+d+"/rw/new"),
		"ok", "ok", "ok", "ok", "ok", "ok", "ok")
	want(t, attempt(t, 0, rules,
		"read="+d+"/off/file", "list="+d+"/off", "write="+d+"/off/file", "create="+d+"/off/new", "execute=/bin/true"),
		"EACCES", "EACCES", "EACCES", "EACCES", "EACCES")
}

func TestEmptyRulesetRefusesEverything(t *testing.T) {
	d := tree(t)
	want(t, attempt(t, 0, nil, "read="+d+"/ro/file", "list=/", "execute=/bin/true", "read=/proc/self/status"),
		"EACCES", "EACCES", "EACCES", "EACCES")
}

func TestTruncateNeedsWrite(t *testing.T) {
	abi(t, 3)
	d := tree(t)
	rules := []rule{{path: d + "/ro", isDir: true}, {path: d + "/rw", isDir: true, write: true}}
	want(t, attempt(t, 0, rules, "truncate="+d+"/ro/file", "truncate="+d+"/rw/file"), "EACCES", "ok")
}

func TestRenameAndLinkBetweenDirectories(t *testing.T) {
	abi(t, 2)
	d := tree(t)
	rules := []rule{{path: d + "/ro", isDir: true}, {path: d + "/rw", isDir: true, write: true}}
	want(t, attempt(t, 0, rules,
		"rename="+d+"/rw/file,"+d+"/rw/sub/moved",
		"rename="+d+"/rw/sub/file,"+d+"/ro/moved",
		"link="+d+"/ro/file,"+d+"/rw/linked",
		"rename="+d+"/off/file,"+d+"/rw/moved"),
		"ok", "EACCES", "EXDEV", "EACCES")
}

// TestNoDeviceNodes: not where writing is allowed, and not as root.
func TestNoDeviceNodes(t *testing.T) {
	d := tree(t)
	rules := []rule{{path: d + "/rw", isDir: true, write: true}}
	want(t, attempt(t, 0, rules, "whiteout="+d+"/rw/w", "block="+d+"/rw/b"), "EACCES", "EACCES")
}

func TestNoMounts(t *testing.T) {
	kerneltest.Root(t)
	d := tree(t)
	want(t, attempt(t, 0, []rule{{path: "/", isDir: true, write: true}}, "mount="+d+"/rw"), "EPERM")
}

// TestRightsAddUp is the trap of decision 4: if it ever fails, Landlock has
// learnt to take away and read-only mounts are no longer needed.
func TestRightsAddUp(t *testing.T) {
	d := tree(t)
	rules := []rule{{path: d + "/rw", isDir: true, write: true}, {path: d + "/rw/sub", isDir: true}}
	want(t, attempt(t, 0, rules, "write="+d+"/rw/sub/file"), "ok")
}

func TestDirectoryRightsOnAFile(t *testing.T) {
	v := abi(t, 1)
	d := tree(t)
	ruleset, err := landlock.NewRuleset(v, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ruleset.Close()
	path, err := openPath(d + "/rw/file")
	if err != nil {
		t.Fatal(err)
	}
	defer path.Close()
	if err := landlock.AddPath(ruleset, path, landlock.Rights(v, true, true, false)); err != nil {
		t.Errorf("rights that only directories have are not masked on a file: %v", err)
	}
	if err := landlock.AddPath(ruleset, path, unix.LANDLOCK_ACCESS_FS_READ_DIR); err == nil {
		t.Errorf("a rule that grants nothing was added in silence")
	}
	want(t, attempt(t, 0, []rule{{path: d + "/rw/file", isDir: true, write: true}},
		"write="+d+"/rw/file", "truncate="+d+"/rw/file", "remove="+d+"/rw/file"), "ok", "ok", "EACCES")
}

func TestIoctlOnADevice(t *testing.T) {
	abi(t, 5)
	// /dev/null has no such call: ENOTTY comes from the device, EACCES from Landlock.
	want(t, attempt(t, 0, []rule{{path: "/dev/null", write: true}}, "ioctl=/dev/null"), "EACCES")
	want(t, attempt(t, 0, []rule{{path: "/dev/null", write: true, device: true}}, "ioctl=/dev/null"), "ENOTTY")
	want(t, attempt(t, 0, []rule{{path: "/dev", isDir: true, write: true, device: true}}, "ioctl=/dev/null"), "ENOTTY")
}

func TestScopes(t *testing.T) {
	abi(t, 6)
	name := fmt.Sprintf("nemoclaw-test-%d", os.Getpid())
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	if err := errors.Join(unix.Bind(l, &unix.SockaddrUnix{Name: "@" + name}), unix.Listen(l, 8)); err != nil {
		t.Fatal(err)
	}
	self := strconv.Itoa(os.Getpid())
	all := landlock.ScopeAbstractUnix | landlock.ScopeSignal
	want(t, attempt(t, 0, nil, "signal="+self, "abstract="+name), "ok", "ok")
	want(t, attempt(t, all, nil, "signal="+self, "abstract="+name), "EPERM", "EPERM")
	if f, err := landlock.NewRuleset(5, landlock.ScopeSignal); err == nil {
		f.Close()
		t.Errorf("a scope was promised on an ABI that has none")
	}
}

func TestEveryThread(t *testing.T) {
	d := tree(t)
	want(t, attempt(t, 0, nil, "threads="+d+"/ro/file"), "EACCES")
}

// TestRuleAfterRestriction: a domain does not grow with its ruleset.
func TestRuleAfterRestriction(t *testing.T) {
	v := abi(t, 1)
	d := tree(t)
	ruleset, err := landlock.NewRuleset(v, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ruleset.Close()
	cmd := kerneltest.Child(t, "try", "after", "read="+d+"/ro/file")
	devnull, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer devnull.Close()
	cmd.ExtraFiles = []*os.File{ruleset, devnull}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("restricted\n"))
	if _, err := io.ReadFull(stdout, line); err != nil {
		t.Fatal(err)
	}
	if err := add(ruleset, v, rule{path: d + "/ro", isDir: true}); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	rest, err := io.ReadAll(stdout)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(rest)); got != "read EACCES" {
		t.Errorf("after the restriction, a new rule gave %q", got)
	}
}

func TestRulesetIsCloseOnExec(t *testing.T) {
	v := abi(t, 1)
	ruleset, err := landlock.NewRuleset(v, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ruleset.Close()
	flags, err := unix.FcntlInt(ruleset.Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v: not close-on-exec", flags, err)
	}
}

func TestNoABI(t *testing.T) {
	if _, err := landlock.NewRuleset(0, 0); !errors.Is(err, landlock.ErrUnsupported) {
		t.Errorf("NewRuleset(0) = %v, want ErrUnsupported", err)
	}
}
