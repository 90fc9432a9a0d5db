package supervisor

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/egress"
	"github.com/nemoclaw/nemoclaw/enforce/network/ingress"
)

// maxIngressRecords bounds the records of connections from outside in one
// second: the log is not for a stranger to fill. The rest is counted.
const maxIngressRecords = 20

// watchIngress records what the fence tells of until the socket fails. A
// connection whose report is lost, because nobody read in time, has no record.
func watchIngress(p *egress.Proxy, f *os.File) {
	// The kernel sends at most a page at once (NFULNL_NLBUFSIZ_DEFAULT).
	buf := make([]byte, 8<<10)
	var second time.Time
	records, further := 0, 0
	for {
		n, err := f.Read(buf)
		if errors.Is(err, unix.ENOBUFS) {
			continue // the kernel had more than the socket holds
		}
		if err != nil {
			return
		}
		for _, c := range ingress.Parse(buf[:n]) {
			if now := time.Now(); now.Sub(second) >= time.Second {
				second, records = now, 0
			}
			if records++; records > maxIngressRecords {
				further++
				continue
			}
			p.Ingress(c.From, c.To, further)
			further = 0
		}
	}
}
