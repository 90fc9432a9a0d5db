package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"Example.COM.":            "example.com",
		"a_b.c-d.e":               "a_b.c-d.e",
		"":                        "",
		".":                       "",
		"a..b":                    "",
		".a":                      "",
		"a b":                     "",
		"ä.de":                    "",
		"a\x00b":                  "",
		"a/b":                     "",
		"*.a.com":                 "",
		strings.Repeat("a", 64):   "",
		strings.Repeat("a", 63):   strings.Repeat("a", 63),
		strings.Repeat("a.", 128): "",
	} {
		got, ok := Canonical(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, ok, want)
		}
	}
}

func TestTable(t *testing.T) {
	store, err := os.Create(filepath.Join(t.TempDir(), "names"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pool := netip.MustParsePrefix("28.192.0.7/29") // six addresses
	table, err := NewTable(pool, store)
	if err != nil {
		t.Fatal(err)
	}
	given := make(map[string]netip.Addr)
	for i := range 6 {
		name := fmt.Sprintf("h%d.test", i)
		if given[name], err = table.Assign(name); err != nil {
			t.Fatal(err)
		}
	}
	if given["h0.test"] != netip.MustParseAddr("28.192.0.1") || given["h5.test"] != netip.MustParseAddr("28.192.0.6") {
		t.Errorf("%v", given)
	}
	if _, err := table.Assign("one.more"); !errors.Is(err, ErrFull) {
		t.Errorf("a seventh name: %v", err)
	}
	store.WriteAt([]byte("cut sho"), table.stored) // the supervisor died while writing
	again, err := NewTable(pool, store)
	if err != nil || again.Len() != 6 {
		t.Fatalf("%d names, %v", again.Len(), err)
	}
	for name, addr := range given {
		if a, err := again.Assign(name); err != nil || a != addr {
			t.Errorf("%s was %s and is %s (%v)", name, addr, a, err)
		}
		if n, ok := again.Name(netip.AddrFrom16(addr.As16())); !ok || n != name {
			t.Errorf("%s is %q", addr, n)
		}
	}
	for _, a := range []string{"28.192.0.0", "28.192.0.7", "28.192.0.8", "10.0.0.1", "::1"} {
		if n, ok := again.Name(netip.MustParseAddr(a)); ok {
			t.Errorf("%s is %q", a, n)
		}
	}
	for _, bad := range []string{"2001:db8::/64", "10.0.0.0/31", "10.0.0.0/4"} {
		if _, err := NewTable(netip.MustParsePrefix(bad), nil); err == nil {
			t.Errorf("%s is taken for a pool", bad)
		}
	}
}

func query(t testing.TB, name string, kind dnsmessage.Type, edns bool) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	if edns {
		var h dnsmessage.ResourceHeader
		h.SetEDNS0(4096, 0, false)
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReply(t *testing.T) {
	addr := netip.MustParseAddr("28.192.0.1")
	known, blocked := Outcome{Kind: Known, Addr: addr}, Outcome{Why: strings.Repeat("x", 500)}
	for _, tt := range []struct {
		kind    dnsmessage.Type
		edns    bool
		o       Outcome
		rcode   dnsmessage.RCode
		answers int
		ede     bool
	}{
		{dnsmessage.TypeA, true, known, dnsmessage.RCodeSuccess, 1, false},
		{dnsmessage.TypeA, false, known, dnsmessage.RCodeSuccess, 1, false},
		{dnsmessage.TypeAAAA, true, known, dnsmessage.RCodeSuccess, 0, false},
		{65, true, known, dnsmessage.RCodeSuccess, 0, false},
		{dnsmessage.TypeA, true, blocked, dnsmessage.RCodeNameError, 0, true},
		{dnsmessage.TypeA, false, blocked, dnsmessage.RCodeNameError, 0, false},
		{dnsmessage.TypeA, true, Outcome{Kind: Failed}, dnsmessage.RCodeServerFailure, 0, false},
		{dnsmessage.TypeA, true, Outcome{}, dnsmessage.RCodeNameError, 0, true},
	} {
		q, ok := Parse(query(t, "WwW.Example.test.", tt.kind, tt.edns))
		if !ok || q.Name() != "www.example.test" {
			t.Fatalf("%+v %v", q, ok)
		}
		out := q.Reply(tt.o)
		var m dnsmessage.Message
		if err := m.Unpack(out); err != nil || len(out) > 512 {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		ede := false
		for _, a := range m.Additionals {
			if opt, ok := a.Body.(*dnsmessage.OPTResource); ok && len(opt.Options) == 1 {
				ede = opt.Options[0].Code == 15 && opt.Options[0].Data[1] == 15
			}
		}
		if m.ID != 7 || !m.Response || m.RCode != tt.rcode || len(m.Answers) != tt.answers || ede != tt.ede ||
			m.Questions[0].Name.String() != "WwW.Example.test." || (len(m.Additionals) == 1) != tt.edns {
			t.Errorf("%v: %+v", tt, m)
		}
	}
}

func TestParseOdd(t *testing.T) {
	good := query(t, "a.test.", dnsmessage.TypeA, false)
	two := append([]byte{}, good...)
	two[5] = 2
	response := append([]byte{}, good...)
	response[2] |= 0x80
	status := append([]byte{}, good...)
	status[2] |= 2 << 3
	if _, ok := Parse(response); ok {
		t.Error("a response is answered")
	}
	if _, ok := Parse(make([]byte, MaxQuery+1)); ok {
		t.Error("a long query is answered")
	}
	for _, tt := range []struct {
		msg   []byte
		rcode dnsmessage.RCode
	}{{two, dnsmessage.RCodeFormatError}, {status, dnsmessage.RCodeNotImplemented}, {query(t, "a b.test.", dnsmessage.TypeA, true), dnsmessage.RCodeNameError}} {
		q, ok := Parse(tt.msg)
		if !ok || q.Name() != "" {
			t.Fatalf("%q asks for a decision", tt.msg)
		}
		var m dnsmessage.Message
		if err := m.Unpack(q.Reply(Outcome{})); err != nil || m.RCode != tt.rcode {
			t.Errorf("%q: %v %v", tt.msg, m.RCode, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(query(f, "a.test.", dnsmessage.TypeA, true))
	f.Add(query(f, "a.test.", dnsmessage.TypeAAAA, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, ok := Parse(b)
		if !ok {
			return
		}
		for _, o := range []Outcome{{}, {Kind: Known, Addr: netip.MustParseAddr("28.192.0.1")}, {Kind: Failed}} {
			out := q.Reply(o)
			if len(out) > 512 {
				t.Fatalf("a reply of %d bytes", len(out))
			}
			var p dnsmessage.Parser
			if out == nil {
				continue
			}
			if h, err := p.Start(out); err != nil || !h.Response {
				t.Fatalf("a reply that is none: %v", err)
			}
		}
	})
}

// fakeServer answers each query with what reply makes of it.
func fakeServer(t *testing.T, reply func(q dnsmessage.Message, tcp bool) []byte) *Client {
	u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addr := u.LocalAddr().(*net.UDPAddr).AddrPort()
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(); l.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) == nil {
				u.WriteToUDPAddrPort(reply(m, false), from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := c.Read(buf)
			var m dnsmessage.Message
			if n > 2 && m.Unpack(buf[2:n]) == nil {
				out := reply(m, true)
				c.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...))
			}
			c.Close()
		}
	}()
	return &Client{Servers: []netip.AddrPort{addr}, Dial: func(ctx context.Context, network string, s netip.AddrPort) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.String())
	}}
}

func TestClient(t *testing.T) {
	a := func(name string, addr string) dnsmessage.Resource {
		return dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 5},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
		}
	}
	alias := func(name, to string) dnsmessage.Resource {
		return dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET, TTL: 9},
			Body:   &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)},
		}
	}
	c := fakeServer(t, func(m dnsmessage.Message, tcp bool) []byte {
		m.Response = true
		if m.Questions[0].Type == dnsmessage.TypeA {
			switch m.Questions[0].Name.String() {
			case "plain.test.":
				m.Answers = []dnsmessage.Resource{a("Plain.test.", "198.51.100.1"), a("other.test.", "198.51.100.9")}
			case "alias.test.":
				m.Answers = []dnsmessage.Resource{a("real.test.", "198.51.100.2"), alias("alias.test.", "Real.test.")}
			case "loop.test.":
				m.Answers = []dnsmessage.Resource{alias("loop.test.", "loop.test.")}
			case "big.test.":
				if m.Truncated = !tcp; tcp {
					m.Answers = []dnsmessage.Resource{a("big.test.", "198.51.100.3")}
				}
			case "refused.test.":
				m.RCode = dnsmessage.RCodeRefused
			case "forged.test.":
				m.ID++
			}
		}
		out, _ := m.Pack()
		return out
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for name, want := range map[string]string{
		"plain.test": "[198.51.100.1] 5s", "alias.test": "[198.51.100.2] 5s", "big.test": "[198.51.100.3] 5s",
	} {
		addrs, ttl, err := c.Lookup(ctx, name, true)
		if got := fmt.Sprint(addrs, " ", ttl); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"loop.test", "nothing.test"} {
		if addrs, _, err := c.Lookup(ctx, name, true); !errors.Is(err, ErrNoSuchName) {
			t.Errorf("%s: %v %v", name, addrs, err)
		}
	}
	if _, _, err := c.Lookup(ctx, "refused.test", false); err == nil || errors.Is(err, ErrNoSuchName) {
		t.Errorf("refused: %v", err)
	}
	if _, _, err := c.Lookup(ctx, "forged.test", false); err == nil {
		t.Error("a forged answer is taken")
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add(query(f, "a.test.", dnsmessage.TypeA, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		q := dnsmessage.Question{Name: dnsmessage.MustNewName("a.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
		addrs, ttl, _, err := readReply(b, q)
		if err == nil && (len(addrs) > maxRecords || ttl > maxTTL) {
			t.Errorf("%d addresses, %s", len(addrs), ttl)
		}
	})
}
