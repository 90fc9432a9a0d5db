package sandbox

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestGiveBack holds that the program goes on after its own pages are gone, and
// that they were found at all.
func TestGiveBack(t *testing.T) {
	aux, err := unix.Auxv()
	if err != nil {
		t.Fatal(err)
	}
	if len(readOnlySegments(aux)) == 0 {
		t.Error("no segment of the program is found")
	}
	for _, odd := range [][][2]uintptr{nil, {{auxHeaders, 1}}, {{auxHeaders, 4096}, {auxHeaderSize, 8}, {auxHeaderCount, 3}}} {
		if s := readOnlySegments(odd); s != nil {
			t.Errorf("%v gives %d segments", odd, len(s))
		}
	}
	GiveBack()
	GiveBack()
}
