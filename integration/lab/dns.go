package lab

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Query is one question that reached a resolver of the test internet.
type Query struct {
	Server string // the address it was sent to
	Name   string // as sent, with the final dot
	Type   dnsmessage.Type
}

// DNSLog is the zone and the record of what was asked of it. The zero value is
// an empty record over the standing zone.
type DNSLog struct {
	mu      sync.Mutex
	queries []Query
	extra   map[string][]netip.Addr
}

// Queries returns a copy of what was asked so far.
func (d *DNSLog) Queries() []Query {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Query(nil), d.queries...)
}

// Set gives a name (without final dot) the addresses, over the standing zone.
func (d *DNSLog) Set(name string, addrs ...netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.extra == nil {
		d.extra = map[string][]netip.Addr{}
	}
	d.extra[name] = addrs
}

// lookup is the standing zone: *.example.com, *.example.org, and three names
// that lead where no agent should get.
func (d *DNSLog) lookup(name string) []netip.Addr {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	d.mu.Lock()
	set, ok := d.extra[name]
	d.mu.Unlock()
	if ok {
		return set
	}
	parse := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	switch {
	case name == "metadata.example.com":
		return parse(MetadataAddr)
	case name == "private.example.com":
		return parse(PrivateAddr4)
	case name == "loopback.example.com":
		return parse("127.0.0.1", "::1")
	case name == "example.com", strings.HasSuffix(name, ".example.com"):
		return parse(AllowedAddr4, AllowedAddr6)
	case name == "example.org", strings.HasSuffix(name, ".example.org"):
		return parse(OtherAddr4, OtherAddr6)
	}
	return nil
}

// serve answers datagrams until the socket is closed.
func (d *DNSLog) serve(c net.PacketConn, server string) {
	buf := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := d.answer(buf[:n], server); answer != nil {
			c.WriteTo(answer, from)
		}
	}
}

// answer is the reply to one message; nil when it is no question.
func (d *DNSLog) answer(msg []byte, server string) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	d.mu.Lock()
	d.queries = append(d.queries, Query{Server: server, Name: q.Name.String(), Type: q.Type})
	d.mu.Unlock()
	addrs := d.lookup(q.Name.String())
	head := dnsmessage.Header{ID: h.ID, Response: true, RecursionDesired: h.RecursionDesired, RecursionAvailable: true}
	if addrs == nil {
		head.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, head)
	b.StartQuestions()
	b.Question(q)
	b.StartAnswers()
	rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 5}
	for _, a := range addrs {
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			b.AResource(rh, dnsmessage.AResource{A: a.As4()})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}

// serveDNSOverTCP answers on port 53 of every address.
func (n *Internet) serveDNSOverTCP() error {
	l, err := n.listen("[::]:53")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.DNS.serveTCP(c)
		}
	}()
	return nil
}

func (d *DNSLog) serveTCP(c net.Conn) {
	defer c.Close()
	host, _, _ := net.SplitHostPort(c.LocalAddr().String())
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, msg); err != nil {
			return
		}
		answer := d.answer(msg, host)
		if answer == nil {
			return
		}
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}
