package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestWorld holds the harness itself to its word, with stock runc: what the
// tests of the fence show to be closed must be open without it.
func TestWorld(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, plain)
		inet := e.World.Internet
		before, mark := e.Snapshot(), inet.Capture.Mark()
		r, err := e.RunRunc(ref, "probe",
			"tcp", lab.AllowedAddr4+":9000", "--", "udp", lab.PublicDNS4+":9001", "hello",
			"--", "dns", lab.PublicDNS4+":53", "api.example.com", "--", "dnstcp", lab.PublicDNS4+":53", "api.example.com", "AAAA",
			"--", "resolve", "other.example.org", "--", "http", "http://api.example.com/x")
		if err != nil {
			t.Fatal(err)
		}
		for op, a := range answers(t, r) {
			if !a.OK {
				t.Errorf("%s: %s", op, a.Err)
			}
		}
		if !strings.Contains(r.Stdout, `"addrs":"`+lab.AllowedAddr4+`"`) || !strings.Contains(r.Stdout, `api.example.com`) {
			t.Errorf("unexpected answers:\n%s", r.Stdout)
		}
		if got := inet.Capture.Since(mark); len(got) < 6 {
			t.Errorf("the recorder saw only %v", got)
		}
		if left := e.WaitClean(before, 5*time.Second); len(left) > 0 {
			t.Errorf("stock runc leaves something behind by this measure:\n%s", strings.Join(left, "\n"))
		}
	})
}

// TestWorldHTTPSAndPorts: the test CA verifies with curl, and a published port
// is reached from the engine's host and from the internet's side.
func TestWorldHTTPSAndPorts(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, plain)
		r, err := e.RunRunc("-v", e.World.Internet.CAFile+":/ca.pem:ro", ref,
			"curl", "-sS", "--noproxy", "*", "--cacert", "/ca.pem", "https://api.example.com/y")
		if err != nil || !strings.Contains(r.Stdout, `"uri":"/y"`) {
			t.Errorf("curl: %v %d %s%s", err, r.Code, r.Stdout, r.Stderr)
		}
		id := detached(t, e, "reference", "-p", "18080:8080", ref, "probe", "serve", "0.0.0.0:8080", "20s")
		_ = id
		if err := e.World.InEngine(func() error { return greet("127.0.0.1:18080") }); err != nil {
			t.Errorf("from the engine's host: %v", err)
		}
		if err := e.World.Internet.In(func() error { return greet(lab.EngineAddr4 + ":18080") }); err != nil {
			t.Errorf("from the internet's side: %v", err)
		}
	})
}

// greet asks an agent's server, with patience for its start. It makes its
// socket on the calling thread.
func greet(addr string) error {
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", addr, time.Second); err != nil {
			continue
		}
		c.SetDeadline(time.Now().Add(2 * time.Second))
		fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
		buf := make([]byte, 512)
		n := 0
		for n < len(buf) {
			var k int
			k, err = c.Read(buf[n:])
			n += k
			if err != nil {
				break
			}
		}
		c.Close()
		if strings.Contains(string(buf[:n]), "agent here") {
			return nil
		}
		err = fmt.Errorf("%s answers %q", addr, buf[:n])
	}
	return err
}
