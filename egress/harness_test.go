package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/egress/dialguard"
	"github.com/nemoclaw/nemoclaw/egress/dns"
	"github.com/nemoclaw/nemoclaw/egress/mitm"
	"github.com/nemoclaw/nemoclaw/policy"
)

const unitPolicy = `version: 1
network_policies:
  web:
    endpoints:
      - {host: www.example.test, ports: [80, 443], protocol: rest, enforcement: enforce, rules: [{allow: {method: "*", path: "/ok/**"}}]}
      - {host: ws.example.test, port: 80, protocol: websocket, enforcement: enforce, access: full}
      - {host: wsro.example.test, port: 80, protocol: websocket, enforcement: enforce, access: read-only}
    binaries: [{path: /usr/bin/agent}]
  free:
    endpoints: [{host: l4.example.test, ports: [80, 443]}]
    binaries: any
`

// bench is a Proxy whose upstream is a function, and whose flows are made by
// hand: what needs a network namespace is tested in package broker.
type bench struct {
	t     testing.TB
	proxy *Proxy
	res   *resident
	log   string
	dials int
	up    func(net.Conn) // serves what is dialled
	own   []netip.Addr
	addrs []netip.Addr
	roots *x509.CertPool
}

func newBench(t testing.TB, text string) *bench {
	t.Helper()
	b := &bench{t: t, addrs: []netip.Addr{netip.MustParseAddr("198.51.100.2")}, roots: x509.NewCertPool()}
	names, err := dns.NewTable(netip.MustParsePrefix("28.192.0.0/16"), nil)
	check(t, err)
	ca, err := mitm.NewAuthority(time.Now())
	check(t, err)
	b.proxy = New(Config{
		Names: names, CA: ca, Guard: dialguard.New(names.Pool()),
		Who:     func(uint64, bool) ([]Holder, error) { return nil, nil },
		Resolve: func(context.Context, string, bool) ([]netip.Addr, error) { return b.addrs, nil },
		Dial:    b.dial,
		Own:     func() ([]netip.Addr, error) { return b.own, nil },
		Roots:   func() *x509.CertPool { return b.roots },
	})
	t.Cleanup(b.proxy.Close)
	doc, _, err := policy.Parse("test.yaml", []byte(text))
	check(t, err)
	b.log = filepath.Join(t.TempDir(), "log")
	sink, err := audit.Open(b.log)
	check(t, err)
	t.Cleanup(func() { sink.Close() })
	check(t, b.proxy.Add(Container{ID: "c1", Document: doc, Digest: "sha256:0", Log: sink}))
	b.res = b.proxy.known.get("c1")
	return b
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair makes two ends of a TCP connection.
func pair(t testing.TB) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(t, err)
	defer l.Close()
	a, err := net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
	check(t, err)
	c, err := l.AcceptTCP()
	check(t, err)
	return a, c
}

func (b *bench) dial(context.Context, netip.AddrPort) (*net.TCPConn, error) {
	b.dials++
	ours, theirs := pair(b.t)
	go func() {
		defer theirs.Close()
		b.up(theirs)
	}()
	return ours, nil
}

// flow starts one connection of the agent to a host, at the point where all is
// known about it, and returns the agent's end.
func (b *bench) flow(host string, port uint16) *net.TCPConn {
	b.t.Helper()
	agent, client := pair(b.t)
	addr := b.addrs[0]
	if host != "" {
		var err error
		addr, err = b.proxy.cfg.Names.Assign(host)
		check(b.t, err)
	}
	f := &flow{
		proxy: b.proxy, client: client, began: time.Now(), dst: netip.AddrPortFrom(addr, port), id: "test",
		ctx: b.proxy.ctx, res: b.res, callers: []policy.Caller{{Executable: policy.Executable{Path: "/usr/bin/agent"}}},
	}
	go func() {
		defer client.Close()
		defer f.close()
		f.carryOut()
	}()
	b.t.Cleanup(func() { agent.Close() })
	_ = agent.SetDeadline(time.Now().Add(10 * time.Second))
	return agent
}

// say sends text and reads all that comes until the end.
func say(t testing.TB, c net.Conn, text string) string {
	t.Helper()
	_, _ = io.WriteString(c, text)
	out, _ := io.ReadAll(c) // a reset is an answer too
	return string(out)
}

func (b *bench) records() (out []audit.Event) {
	b.t.Helper()
	data, err := os.ReadFile(b.log)
	check(b.t, err)
	for line := range bytes.Lines(data) {
		var e audit.Event
		check(b.t, json.Unmarshal(line, &e))
		out = append(out, e)
	}
	return out
}

func (b *bench) recorded(kind audit.Kind, verdict, reason string) bool {
	for _, e := range b.records() {
		if e.Kind == kind && e.Verdict == verdict && e.Reason == reason {
			return true
		}
	}
	return false
}

// answering serves requests with one fixed response, and keeps what it was sent.
func answering(response string, got *strings.Builder) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				got.WriteString(line)
				if line == "\r\n" {
					break
				}
			}
			io.WriteString(c, response)
		}
	}
}
