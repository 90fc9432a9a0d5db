package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestRunsPlainImage: an image that knows nothing of us runs, gives its output
// and its status, and leaves nothing behind.
func TestRunsPlainImage(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, plain)
		before := e.Snapshot()
		r, err := e.Run(ref, "sh", "-c", "echo hello; exit 7")
		if err != nil || r.Code != 7 || r.Stdout != "hello\n" {
			t.Errorf("%v: exit status %d, output %q\n%s", err, r.Code, r.Stdout, r.Stderr)
		}
		if left := e.WaitClean(before, 5*time.Second); len(left) > 0 {
			t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
		}
	})
}
