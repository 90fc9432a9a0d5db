package audit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

func TestMain(m *testing.M) {
	kerneltest.Main(m, kerneltest.Children{"write": childWrite, "hold": childHold})
}

// inherited is the descriptor that a child finds its log at.
const inherited = 3

// childWrite appends records through the inherited descriptor, or through one of
// its own when a path is given. A count below 0 never ends.
func childWrite(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	f := os.NewFile(inherited, "inherited log")
	if len(args) > 1 {
		if f, err = OpenFile(args[1]); err != nil {
			return err
		}
	}
	s, err := New(f)
	if err != nil {
		return err
	}
	// Records of more than a page: only those can be cut in two by SIGKILL.
	long := strings.Repeat("weaker ", 36)
	weaker := make([]string, 40)
	for i := range weaker {
		weaker[i] = long
	}
	for i := 0; i != n; i++ {
		if err := s.Write(&Event{Kind: KindConnect, PID: os.Getpid(), Port: i % 1000, Weaker: weaker}); err != nil {
			return err
		}
	}
	return nil
}

// childHold takes the log's lock and keeps it.
func childHold([]string) error {
	if _, err := lock(os.NewFile(inherited, "inherited log")); err != nil {
		return err
	}
	fmt.Println("held")
	time.Sleep(time.Minute)
	return nil
}

// start starts a child with f as the inherited descriptor.
func start(t *testing.T, f *os.File, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := kerneltest.Child(t, name, args...)
	if f != nil {
		cmd.ExtraFiles = []*os.File{f}
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// TestProcessesShareOneLog holds that processes keep one chain, whether each has
// opened the log or all have inherited one open file description, on which
// flock(2) alone would keep nobody out.
func TestProcessesShareOneLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const each = 200
	children := []*exec.Cmd{
		start(t, f, "write", strconv.Itoa(each)),
		start(t, f, "write", strconv.Itoa(each)),
		start(t, nil, "write", strconv.Itoa(each), path),
	}
	s, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	for range each {
		write(t, s, "a.example")
	}
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Errorf("a writer: %v", err)
		}
	}
	if n := verify(t, path); n != 4*each {
		t.Errorf("Verify: %d records, want %d", n, 4*each)
	}
}

// TestWritersKilled holds that a log stays a whole chain however its writers die.
func TestWritersKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 25 {
		a, b := start(t, nil, "write", "-1", path), start(t, nil, "write", "-1", path)
		time.Sleep(time.Duration(20+i) * time.Millisecond)
		for _, c := range []*exec.Cmd{a, b} {
			c.Process.Signal(syscall.SIGKILL)
			c.Wait()
		}
		write(t, s, "a.example")
	}
	if n := verify(t, path); n < 25 {
		t.Errorf("Verify: %d records", n)
	}
}

// TestUnprivilegedInheritor holds that a process that could not open the log
// itself can append to it through what it was given.
func TestUnprivilegedInheritor(t *testing.T) {
	kerneltest.Root(t)
	path := filepath.Join(t.TempDir(), "log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The test binary lies in a directory of root's.
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.MkdirTemp("/tmp", "audit-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(public)
	if err := errors.Join(os.Chmod(public, 0o755), exec.Command("cp", exe, public+"/test").Run()); err != nil {
		t.Fatal(err)
	}
	cmd := kerneltest.Child(t, "write", "3")
	cmd.Path, cmd.Dir = public+"/test", "/"
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 0x78000001, Gid: 0x78000001}}
	kerneltest.MustRun(t, cmd)
	if n := verify(t, path); n != 3 {
		t.Errorf("Verify: %d records, want 3", n)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the log is %v of another: %v", st.Mode(), err)
	}
}

// TestHeldLockIsAnErrorInTime holds that a process which keeps the lock (the
// supervisor has no privilege, and may be the agent's by now) delays a record
// for a bounded time, after which there is an error and no record.
func TestHeldLockIsAnErrorInTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := kerneltest.Child(t, "hold")
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	s, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := s.Write(&Event{Kind: KindDNS}); !errors.Is(err, ErrLocked) {
		t.Errorf("Write: %v, want ErrLocked", err)
	}
	if took := time.Since(before); took < lockWait || took > lockWait+2*time.Second {
		t.Errorf("it took %v, want %v", took, lockWait)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 0 {
		t.Errorf("there is a record: %v, %v", st.Size(), err)
	}
}

// TestFullDisk holds that a full disk is an error without a trace, and that
// records go on in one chain once there is room. A writer whose seccomp program
// keeps it from truncating leaves pieces of records: those are accounted for.
func TestFullDisk(t *testing.T) {
	kerneltest.Root(t)
	t.Run("truncating", func(t *testing.T) { fullDisk(t, false) })
	t.Run("append only", func(t *testing.T) { fullDisk(t, true) })
}

func fullDisk(t *testing.T, appendOnly bool) {
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "log")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if appendOnly { // the kernel then refuses ftruncate(2), as seccomp would
		if err := unix.IoctlSetPointerInt(int(s.file.Fd()), unix.FS_IOC_SETFLAGS, 0x20); err != nil {
			t.Fatalf("setting the append-only attribute: %v", err)
		}
		if err := s.file.Truncate(0); !errors.Is(err, unix.EPERM) {
			t.Fatalf("truncating: %v, want EPERM", err)
		}
	}
	write(t, s, "a.example")
	refused := 0
	for round := range 5 {
		ballast := filepath.Join(dir, "ballast")
		fill(t, ballast)
		for range 16 {
			// Odd lengths, so that records end anywhere in a page.
			err := s.Write(&Event{Kind: KindRequest, Path: strings.Repeat("/x", 517+round)})
			if errors.Is(err, unix.ENOSPC) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	if refused < 40 {
		t.Fatalf("only %d of 80 records were refused on a full disk", refused)
	}
	last := write(t, s, "b.example")
	if n := verify(t, path); uint64(n) != last.Sequence {
		t.Errorf("Verify: %d records, want %d", n, last.Sequence)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if torn := strings.Contains(string(data), `"torn"`); torn != appendOnly {
		t.Errorf("torn records: %v, want %v", torn, appendOnly)
	}
}

// fill writes zeros until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
