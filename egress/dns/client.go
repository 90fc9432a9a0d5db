package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxReply   = 4096 // bytes of a datagram; over TCP 65535, by its length field
	maxRecords = 64   // answers that are looked at
	maxAliases = 12   // length of a CNAME chain
	tryTimeout = 2 * time.Second
	maxTTL     = 30 * time.Second
)

// ErrNoSuchName says that the servers know no such name, or no address of it.
var ErrNoSuchName = errors.New("no such name")

// Client resolves names by asking recursive servers. The zero value has no
// servers and resolves nothing. It is safe for concurrent use.
type Client struct {
	Servers []netip.AddrPort
	// Dial opens a connected socket to a server; network is "udp" or "tcp".
	Dial func(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error)
}

// Lookup returns the IPv4 addresses of name, and with v6 the IPv6 ones after
// them, and how long they may be kept. Each server is asked in turn, twice,
// until one gives an answer.
func (c *Client) Lookup(ctx context.Context, name string, v6 bool) ([]netip.Addr, time.Duration, error) {
	err := errors.New("there is no server to ask")
	for range 2 {
		for _, s := range c.Servers {
			addrs, ttl, e := c.lookupAt(ctx, s, name, v6)
			if e == nil || errors.Is(e, ErrNoSuchName) {
				return addrs, ttl, wrapLookup(name, e)
			}
			if err = e; ctx.Err() != nil {
				return nil, 0, wrapLookup(name, ctx.Err())
			}
		}
	}
	return nil, 0, wrapLookup(name, err)
}

func wrapLookup(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("resolving %s: %w", name, err)
}

func (c *Client) lookupAt(ctx context.Context, s netip.AddrPort, name string, v6 bool) ([]netip.Addr, time.Duration, error) {
	addrs, ttl, err := c.ask(ctx, s, name, dnsmessage.TypeA)
	if !v6 || (err != nil && !errors.Is(err, ErrNoSuchName)) {
		return addrs, ttl, err
	}
	more, ttl6, err6 := c.ask(ctx, s, name, dnsmessage.TypeAAAA)
	if err6 == nil {
		if err != nil {
			ttl = ttl6
		}
		return append(addrs, more...), min(ttl, ttl6), nil
	}
	return addrs, ttl, err
}

// ask sends one question by UDP, and again by TCP if the answer did not fit.
func (c *Client) ask(ctx context.Context, s netip.AddrPort, name string, t dnsmessage.Type) ([]netip.Addr, time.Duration, error) {
	query, q, err := newQuery(name, t)
	if err != nil {
		return nil, 0, err
	}
	for _, network := range []string{"udp", "tcp"} {
		msg, err := c.exchange(ctx, network, s, query, q)
		if err != nil {
			return nil, 0, err
		}
		addrs, ttl, truncated, err := readReply(msg, q)
		if !truncated || network == "tcp" {
			return addrs, ttl, err
		}
	}
	return nil, 0, errors.New("the answer is cut short")
}

func newQuery(name string, t dnsmessage.Type) ([]byte, dnsmessage.Question, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, dnsmessage.Question{}, err
	}
	q := dnsmessage.Question{Name: n, Type: t, Class: dnsmessage.ClassINET}
	var id [2]byte
	rand.Read(id[:])
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: binary.BigEndian.Uint16(id[:]), RecursionDesired: true})
	if err := b.StartQuestions(); err != nil {
		return nil, q, err
	}
	if err := b.Question(q); err != nil {
		return nil, q, err
	}
	msg, err := b.Finish()
	return msg, q, err
}

// exchange returns the first message from the server that answers the question.
func (c *Client) exchange(ctx context.Context, network string, s netip.AddrPort, query []byte, q dnsmessage.Question) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	conn, err := c.Dial(ctx, network, s)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if network == "tcp" {
		return exchangeTCP(conn, query)
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, maxReply)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if answers(buf[:n], query, q) {
			return buf[:n], nil
		}
	}
}

func exchangeTCP(conn net.Conn, query []byte) ([]byte, error) {
	out := append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	if _, err := conn.Write(out); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, msg)
	return msg, err
}

// answers reports whether msg is a reply to this very query; a datagram that is
// not may be a forgery, and the real one may still come.
func answers(msg, query []byte, q dnsmessage.Question) bool {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != binary.BigEndian.Uint16(query) {
		return false
	}
	got, err := p.Question()
	return err == nil && sameQuestion(got, q)
}

func sameQuestion(a, b dnsmessage.Question) bool {
	return a.Type == b.Type && a.Class == b.Class && strings.EqualFold(a.Name.String(), b.Name.String())
}

// readReply takes the addresses of the question's name, aliases followed, out
// of a reply.
func readReply(msg []byte, q dnsmessage.Question) (addrs []netip.Addr, ttl time.Duration, truncated bool, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return nil, 0, false, err
	}
	if h.Truncated {
		return nil, 0, true, nil
	}
	switch h.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return nil, 0, false, ErrNoSuchName
	default:
		return nil, 0, false, fmt.Errorf("the server answers %s", h.RCode)
	}
	if got, err := p.Question(); err != nil || !sameQuestion(got, q) {
		return nil, 0, false, errors.New("the answer is to another question")
	}
	if err := p.SkipAllQuestions(); err != nil {
		return nil, 0, false, err
	}
	records, err := readAnswers(&p)
	if err != nil {
		return nil, 0, false, err
	}
	addrs, ttl = follow(records, q)
	if len(addrs) == 0 {
		return nil, 0, false, ErrNoSuchName
	}
	return addrs, ttl, false, nil
}

// record is one answer: an alias or an address of owner.
type record struct {
	owner string // lower case
	alias string
	addr  netip.Addr
	ttl   uint32
}

func readAnswers(p *dnsmessage.Parser) ([]record, error) {
	var out []record
	for len(out) < maxRecords {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return nil, err
		}
		r := record{owner: strings.ToLower(h.Name.String()), ttl: h.TTL}
		switch {
		case h.Class != dnsmessage.ClassINET:
			err = p.SkipAnswer()
		case h.Type == dnsmessage.TypeA:
			var a dnsmessage.AResource
			a, err = p.AResource()
			r.addr = netip.AddrFrom4(a.A)
		case h.Type == dnsmessage.TypeAAAA:
			var a dnsmessage.AAAAResource
			a, err = p.AAAAResource()
			r.addr = netip.AddrFrom16(a.AAAA)
		case h.Type == dnsmessage.TypeCNAME:
			var c dnsmessage.CNAMEResource
			c, err = p.CNAMEResource()
			r.alias = strings.ToLower(c.CNAME.String())
		default:
			err = p.SkipAnswer()
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// follow walks from the question's name along aliases to addresses.
func follow(records []record, q dnsmessage.Question) ([]netip.Addr, time.Duration) {
	name, ttl := strings.ToLower(q.Name.String()), maxTTL
	for range maxAliases {
		var addrs []netip.Addr
		next := ""
		for _, r := range records {
			if r.owner != name {
				continue
			}
			ttl = min(ttl, time.Duration(r.ttl)*time.Second)
			if r.addr.IsValid() && !slices.Contains(addrs, r.addr) {
				addrs = append(addrs, r.addr)
			} else if r.alias != "" {
				next = r.alias
			}
		}
		if len(addrs) > 0 || next == "" {
			return addrs, ttl
		}
		name = next
	}
	return nil, 0
}
