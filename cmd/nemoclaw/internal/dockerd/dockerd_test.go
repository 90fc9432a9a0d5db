package dockerd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

// serve answers on a socket as an engine would.
func serve(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: answer}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return socket
}

func TestAsk(t *testing.T) {
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/info" {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(`{"ServerVersion":"29.0.0","Driver":"overlayfs","Runtimes":{"nemoclaw":{"path":"/n","runtimeArgs":["--config","/c"]}}}`))
	})
	info, err := Ask(t.Context(), socket)
	if err != nil || info.Version != "29.0.0" || info.StorageDriver != "overlayfs" || info.Runtimes["nemoclaw"].Path != "/n" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestAskNobody(t *testing.T) {
	if _, err := Ask(t.Context(), filepath.Join(t.TempDir(), "none.sock")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	dead := filepath.Join(t.TempDir(), "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := Ask(t.Context(), dead); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a socket that nobody listens on: %v", err)
	}
}

func TestAskWrongAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) },
		"an error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"ServerVersion":"`))
			w.Write(bytes.Repeat([]byte("x"), 2*maxReply))
		},
	} {
		if info, err := Ask(t.Context(), serve(t, answer)); err == nil || errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
}

func TestWaitRuntime(t *testing.T) {
	var asked atomic.Int32
	socket := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.Write([]byte(`{}`))
			return
		}
		w.Write([]byte(`{"Runtimes":{"nemoclaw":{}}}`))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := WaitRuntime(ctx, socket, "nemoclaw", true); err != nil {
		t.Error(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if info, err := WaitRuntime(ctx, socket, "nemoclaw", false); err == nil || info == nil {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestPID(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		content string
		gone    bool // ErrNotRunning, and no other error
	}{
		"other process": {strconv.Itoa(os.Getpid()), true},
		"gone":          {"999999999", true},
		"init":          {"1", false},
		"negative":      {"-1", false}, // kill(-1) would reach every process
		"zero":          {"0", false},
		"no number":     {"docker", false},
		"endless":       {strings.Repeat("1", 1<<16), false},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, err := PID(path); err == nil || errors.Is(err, ErrNotRunning) != tc.gone {
			t.Errorf("%s: %d, %v", name, pid, err)
		}
	}
	if _, err := PID(filepath.Join(dir, "missing")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no file: %v", err)
	}
}

func TestReplaceKeepsWhatOthersWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Replace([]byte("{}"), time.Now()); err == nil {
		t.Error("a file that somebody has changed meanwhile was overwritten")
	}
	if got, _ := os.ReadFile(path); string(got) != `{"a":1}` {
		t.Errorf("the file holds %s", got)
	}
}

func TestBackupsHaveNamesOfTheirOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(path, []byte("{}"), 0o640); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	seen := map[string]bool{}
	for range 3 {
		f, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		backup, err := f.Replace(f.Text, now)
		if err != nil || seen[backup] {
			t.Fatalf("%q, %v", backup, err)
		}
		seen[backup] = true
		if st, err := os.Stat(backup); err != nil || st.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", backup, st.Mode(), err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".daemon.json-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestReadFileRefuses(t *testing.T) {
	dir := t.TempDir()
	dangling := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nothing"), dangling); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, "/dev/null", dangling} {
		if f, err := ReadFile(path); err == nil {
			t.Errorf("%s: %+v", path, f)
		}
	}
}

// TestFullDisk holds that a full disk changes nothing and leaves nothing.
func TestFullDisk(t *testing.T) {
	kerneltest.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	path := filepath.Join(dir, "daemon.json")
	old := []byte(`{"a":"` + strings.Repeat("x", 30<<10) + `"}`)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 12<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if backup, err := f.Replace([]byte("{}"), time.Now()); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Replace: %q, %v", backup, err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, old) {
		t.Errorf("the file has %d bytes, had %d: %v", len(got), len(old), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
