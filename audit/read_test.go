package audit

import (
	"bytes"
	"os"
	"testing"
)

// FuzzVerify holds that Verify neither fails to end nor accepts a log in which
// a byte was changed.
func FuzzVerify(f *testing.F) {
	s, path := openLog(f)
	for range 3 {
		write(f, s, "a.example")
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, 10, byte('x'))
	f.Add(good[:len(good)-10], 0, byte(0))
	f.Add([]byte("{}\n\n\n"), 0, byte('\n'))
	f.Fuzz(func(t *testing.T, data []byte, at int, b byte) {
		n, err := Verify(bytes.NewReader(data))
		if n > bytes.Count(data, []byte("\n")) {
			t.Errorf("%d records in %d lines", n, bytes.Count(data, []byte("\n")))
		}
		if err != nil || n == 0 || at < 0 || at >= len(data) || data[at] == b {
			return
		}
		changed := bytes.Clone(data)
		changed[at] = b
		if m, err := Verify(bytes.NewReader(changed)); err == nil && m >= n {
			t.Errorf("byte %d changed from %q to %q, and Verify still counts %d records", at, data[at], b, m)
		}
	})
}
