package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openLog(t testing.TB) (*Sink, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sandboxes", "c1.jsonl")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func write(t testing.TB, s *Sink, host string) *Event {
	t.Helper()
	e := &Event{Kind: KindConnect, Sandbox: "c1", Verdict: "deny", Reason: "no_rule_for_host", Host: host, Port: 443}
	if err := s.Write(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func verify(t testing.TB, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := Verify(f)
	if err != nil {
		t.Fatalf("Verify after %d records: %v", n, err)
	}
	return n
}

func TestWriteChains(t *testing.T) {
	s, path := openLog(t)
	first := write(t, s, "a.example")
	second := write(t, s, "b.example")
	if first.Sequence != 1 || first.Prev != strings.Repeat("0", 64) {
		t.Errorf("first record: seq %d prev %s", first.Sequence, first.Prev)
	}
	if second.Sequence != 2 || second.Prev != first.Hash {
		t.Errorf("second record: seq %d prev %s, want 2 %s", second.Sequence, second.Prev, first.Hash)
	}
	if n := verify(t, path); n != 2 {
		t.Errorf("Verify: %d records, want 2", n)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
}

func TestSecondSinkContinues(t *testing.T) {
	s, path := openLog(t)
	write(t, s, "a.example")
	other, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	write(t, other, "b.example")
	write(t, s, "c.example")
	write(t, s, "d.example")
	write(t, other, "e.example")
	if n := verify(t, path); n != 5 {
		t.Errorf("Verify: %d records, want 5", n)
	}
}

func TestConcurrentSinks(t *testing.T) {
	_, path := openLog(t)
	const sinks, goroutines, each = 4, 4, 50
	var wg sync.WaitGroup
	for range sinks {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range goroutines {
			wg.Go(func() {
				for i := range each {
					if err := s.Write(&Event{Kind: KindDNS, Host: fmt.Sprintf("h%d.example", i)}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if n := verify(t, path); n != sinks*goroutines*each {
		t.Errorf("Verify: %d records, want %d", n, sinks*goroutines*each)
	}
}

func TestTornRecordIsAccountedFor(t *testing.T) {
	for name, torn := range map[string]string{
		"half a record": `{"time":"2026-11-22T16:00:00Z","kind":"conn`,
		"zeros":         strings.Repeat("\x00", 4096),
	} {
		t.Run(name, func(t *testing.T) {
			s, path := openLog(t)
			write(t, s, "a.example")
			appendRaw(t, path, torn)
			f, _ := os.Open(path)
			if _, err := Verify(f); err == nil {
				t.Error("Verify accepts a torn record that nothing accounts for")
			}
			f.Close()
			if e := write(t, s, "b.example"); e.Sequence != 3 {
				t.Errorf("record after the torn one has number %d, want 3", e.Sequence)
			}
			if n := verify(t, path); n != 3 {
				t.Errorf("Verify: %d records, want 3", n)
			}
		})
	}
}

func TestTornFirstRecord(t *testing.T) {
	s, path := openLog(t)
	appendRaw(t, path, `{"time":`)
	write(t, s, "a.example")
	if n := verify(t, path); n != 2 {
		t.Errorf("Verify: %d records, want 2", n)
	}
}

func TestOnlyNewlineMissing(t *testing.T) {
	s, path := openLog(t)
	write(t, s, "a.example")
	other, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	write(t, other, "b.example")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, st.Size()-1); err != nil {
		t.Fatal(err)
	}
	if e := write(t, s, "c.example"); e.Sequence != 3 {
		t.Errorf("the record after it has number %d, want 3", e.Sequence)
	}
	if n := verify(t, path); n != 3 {
		t.Errorf("Verify: %d records, want 3", n)
	}
}

// TestSeveralPiecesAreAccountedFor holds that a log goes on after any number of
// torn records, also of records that were to account for others: a writer that
// may not truncate leaves those on a full disk.
func TestSeveralPiecesAreAccountedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		tail string
	}{
		"piece and newline":   {"{\"time\":\n"},
		"two pieces":          {"{\"time\":\n{\"ti"},
		"many pieces":         {strings.Repeat("{\"time\":\n", 9000) + "{"},
		"empty lines":         {"\n\n\n"},
		"half a line of ours": {"{\n" + `{"time":"2026-01-01T00:00:00Z","kind":"torn","reason":"12`},
	} {
		t.Run(name, func(t *testing.T) {
			s, path := openLog(t)
			write(t, s, "a.example")
			appendRaw(t, path, tc.tail)
			write(t, s, "b.example")
			other, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			write(t, other, "c.example")
			if n := verify(t, path); n != 4 {
				t.Errorf("Verify: %d records, want 4", n)
			}
		})
	}
	t.Run("the accounting lacks its newline", func(t *testing.T) {
		const piece = "{\"time\":"
		s, path := openLog(t)
		write(t, s, "a.example")
		appendRaw(t, path, piece)
		write(t, s, "b.example")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(data, []byte("\n"))
		if err := os.Truncate(path, int64(len(data)-len(lines[3])-1)); err != nil {
			t.Fatal(err)
		}
		write(t, s, "c.example")
		if n := verify(t, path); n != 3 {
			t.Errorf("Verify: %d records, want 3", n)
		}
	})
}

func TestChangedTailIsRefused(t *testing.T) {
	s, path := openLog(t)
	write(t, s, "a.example")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(bytes.Replace(data, []byte("a.example"), []byte("b.example"), 1), '{'), 0o600); err != nil {
		t.Fatal(err)
	}
	err = s.Write(&Event{Kind: KindDNS})
	if err == nil || !strings.Contains(err.Error(), "was changed, move the file away") {
		t.Errorf("Write after a changed record: %v", err)
	}
}

func TestTailWithoutNewlineTooLong(t *testing.T) {
	s, path := openLog(t)
	write(t, s, "a.example")
	appendRaw(t, path, strings.Repeat("x", longTail+1))
	if err := s.Write(&Event{Kind: KindDNS}); err == nil {
		t.Error("Write after 256 KiB without a newline succeeded")
	}
}

func appendRaw(t *testing.T, path, s string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(s); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFindsTampering(t *testing.T) {
	s, path := openLog(t)
	for i := range 5 {
		write(t, s, fmt.Sprintf("h%d.example", i))
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(good), []byte("\n"))
	lines[4] = append(lines[4], '\n')
	join := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	for _, tc := range []struct {
		name string
		data []byte
		n    int
	}{
		{"changed", bytes.Replace(good, []byte("h2.example"), []byte("hX.example"), 1), 2},
		{"removed", join(lines[0], lines[1], lines[3], lines[4]), 2},
		{"swapped", join(lines[0], lines[2], lines[1], lines[3], lines[4]), 1},
		{"repeated", join(lines[0], lines[0], lines[1]), 1},
		{"first removed", join(lines[1:]...), 0},
		{"inserted garbage", join(lines[0], []byte("{}\n"), lines[1]), 1},
		{"last cut", good[:len(good)-7], 4},
		{"long line", join(lines[0], bytes.Repeat([]byte("x"), 3*MaxLine), []byte("\n"), lines[1]), 1},
		{"newline removed", bytes.Replace(good, []byte("\n"), nil, 1), 0},
	} {
		n, err := Verify(bytes.NewReader(tc.data))
		var bad *BadRecord
		if n != tc.n || !errors.As(err, &bad) {
			t.Errorf("%s: %d, %v; want %d and a BadRecord", tc.name, n, err, tc.n)
		} else if bad.Line != tc.n+1 {
			t.Errorf("%s: blames line %d, want %d", tc.name, bad.Line, tc.n+1)
		}
	}
}

func TestNewRefusesUnfitFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for name, flags := range map[string]int{
		"no append": os.O_CREATE | os.O_RDWR, "write only": os.O_CREATE | os.O_WRONLY | os.O_APPEND,
	} {
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(f); err == nil {
			t.Errorf("%s: New succeeded", name)
		}
		f.Close()
	}
}

func TestOpenRefusesSymlinkAndFIFO(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	link := filepath.Join(dir, "link.jsonl")
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); err == nil {
		t.Error("Open followed a symlink")
	}
	if _, err := os.Lstat(victim); err == nil {
		t.Error("Open made the symlink's target")
	}
	if _, err := Open("/dev/null"); err == nil {
		t.Error("Open took a device")
	}
}

func TestWriteRefusesKinds(t *testing.T) {
	s, _ := openLog(t)
	for _, k := range []Kind{"", "other", KindTorn} {
		if err := s.Write(&Event{Kind: k}); !errors.Is(err, ErrKind) {
			t.Errorf("kind %q: %v, want ErrKind", k, err)
		}
	}
}

func TestHugeHostileEventFits(t *testing.T) {
	s, path := openLog(t)
	huge := strings.Repeat("\"\\\x1b[31m\u202e\n", 1<<16)
	weaker := make([]string, 1000)
	for i := range weaker {
		weaker[i] = huge
	}
	e := &Event{
		Kind: KindRequest, Sandbox: huge, Verdict: huge, Reason: huge, Rule: huge, At: huge, Policy: huge,
		Host: huge, Addr: huge, Proto: huge, Method: huge, Path: huge, Binary: huge, RequestID: huge,
		Message: huge, Weaker: weaker, Time: time.Now(),
	}
	if err := s.Write(e); err != nil {
		t.Fatal(err)
	}
	if n := verify(t, path); n != 1 {
		t.Errorf("Verify: %d records, want 1", n)
	}
	data, _ := os.ReadFile(path)
	if i := bytes.IndexFunc(data[:len(data)-1], func(r rune) bool { return !printable(r) }); i >= 0 {
		t.Errorf("byte %d of the record is not printable: %q", i, data[i:i+8])
	}
}

func TestReaderReportsUnfinishedLine(t *testing.T) {
	s, path := openLog(t)
	write(t, s, "a.example")
	appendRaw(t, path, `{"time"`)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := NewReader(f)
	if e, _, err := r.Next(); err != nil || e.Host != "a.example" {
		t.Errorf("first: %v, %v", e, err)
	}
	if _, rest, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) || string(rest) != `{"time"` {
		t.Errorf("second: %q, %v", rest, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	s, _ := openLog(b)
	b.ReportAllocs()
	for b.Loop() {
		e := Event{
			Kind: KindRequest, Sandbox: "0123456789abcdef0123456789abcdef", Verdict: "allow", Rule: "github",
			At: "/etc/nemoclaw/policies/openclaw.yaml:37", Host: "api.github.com", Addr: "198.51.100.7", Port: 443,
			Method: "GET", Path: "/repos/nemoclaw/nemoclaw/issues", Binary: "/usr/bin/node", PID: 1234,
			RequestID: "9f1c2a", Policy: "sha256:0123456789abcdef",
		}
		if err := s.Write(&e); err != nil {
			b.Fatal(err)
		}
	}
}
