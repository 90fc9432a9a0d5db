package integration

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestTwentyAtOnce: twenty containers started at the same time and removed:
// none fails, each asks its host, and nothing is left.
func TestTwentyAtOnce(t *testing.T) {
	const n = 20
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		leavesNothing(t, e, func() {
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					r, err := e.Run(append([]string{"--name", fmt.Sprintf("many-%d", i), ref},
						probeArgs("http http://api.example.com/"+fmt.Sprint(i), "write /etc/x", "write /work/x")...)...)
					if err != nil || r.Code != 0 {
						t.Errorf("container %d: %v, exit status %d\n%s", i, err, r.Code, r.Stderr)
						return
					}
					got := answers(t, r)
					wanted{"write /etc/x": "EACCES|EROFS", "write /work/x": "ok"}.check(t, got)
					if a := got["http http://api.example.com/"+fmt.Sprint(i)]; a.Map["status"] != "200" {
						t.Errorf("container %d: %v", i, a)
					}
				})
			}
			wg.Wait()
		})
	})
}
