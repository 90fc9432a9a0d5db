package broker_test

import (
	"net"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

const ingressPort = 18789

// testIngress connects from outside to the agent's port, and looks for records;
// a flood of connections has one record in twenty a second, and their number.
func testIngress(t *testing.T, w *world) {
	before := len(w.ingressRecords())
	var l net.Listener
	kerneltest.In(t, w.agent, func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(agentAddr, "18789"))
		return err
	})
	defer l.Close()
	const connections = 60
	kerneltest.In(t, w.inet, func() error {
		for range connections {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				return err
			}
			c.Close()
		}
		time.Sleep(1100 * time.Millisecond)
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err
	})
	time.Sleep(300 * time.Millisecond)
	got := w.ingressRecords()[before:]
	if len(got) < 2 || len(got) > 45 {
		t.Fatalf("%d records of %d connections", len(got), connections+1)
	}
	for _, e := range got {
		if e.Verdict != "allow" || e.Addr != worldAddr2 || e.Port != ingressPort || e.Policy == "" {
			t.Errorf("record %+v", e)
		}
	}
	if last := got[len(got)-1]; last.Message == "" {
		t.Errorf("the last record does not count the others: %+v", last)
	}
}

func (w *world) ingressRecords() []audit.Event {
	var out []audit.Event
	for _, e := range w.records() {
		if e.Kind == audit.KindIngress {
			out = append(out, e)
		}
	}
	return out
}
