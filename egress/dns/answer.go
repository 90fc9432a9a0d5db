package dns

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// MaxQuery bounds a query in bytes; a longer one is dropped.
const MaxQuery = 4096

// ttl is what answers carry, in seconds. Addresses never change, verdicts do:
// a minute bounds how long a client goes without asking again.
const ttl = 60

// Outcome is what was decided about one name. The zero value denies.
type Outcome struct {
	Kind OutcomeKind
	Addr netip.Addr // for Known: IPv4
	Why  string     // for Blocked: the text of the extended error, at most 200 bytes
}

// OutcomeKind is one of a closed set.
type OutcomeKind uint8

// The outcomes.
const (
	Blocked OutcomeKind = iota // NXDOMAIN with EDE 15, RFC 8914
	Known                      // Addr to an A question, no data to any other
	Failed                     // SERVFAIL: the decision could not be made or recorded
)

// edeBlocked is the INFO-CODE "Blocked" (RFC 8914, 4.16); optionEDE the option's code.
const (
	edeBlocked = 15
	optionEDE  = 15
	maxWhy     = 200
)

// Query is one parsed question. The zero Query answers nothing.
type Query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	name     string
	edns     bool
	rcode    dnsmessage.RCode // not success: answered with it, without a decision
}

// Parse reads a query. It reports false for what deserves no answer at all: not
// a query, or no header.
func Parse(msg []byte) (Query, bool) {
	var q Query
	if len(msg) > MaxQuery {
		return q, false
	}
	var parser dnsmessage.Parser
	h, err := parser.Start(msg)
	if err != nil || h.Response {
		return q, false
	}
	q.header = h
	if h.OpCode != 0 {
		q.rcode = dnsmessage.RCodeNotImplemented
		return q, true
	}
	q.rcode = dnsmessage.RCodeFormatError
	questions, err := parser.AllQuestions()
	if err != nil || len(questions) != 1 || h.Truncated {
		return q, true
	}
	q.question = questions[0]
	if q.edns, err = readOPT(&parser); err != nil {
		return q, true
	}
	q.rcode = dnsmessage.RCodeSuccess
	if q.question.Class != dnsmessage.ClassINET {
		q.rcode = dnsmessage.RCodeRefused
		return q, true
	}
	if name, ok := Canonical(q.question.Name.String()); ok {
		q.name = name
	}
	return q, true
}

// readOPT looks for the pseudo-record of EDNS (RFC 6891) and passes over all else.
func readOPT(parser *dnsmessage.Parser) (bool, error) {
	if err := parser.SkipAllAnswers(); err != nil {
		return false, err
	}
	if err := parser.SkipAllAuthorities(); err != nil {
		return false, err
	}
	found := false
	for {
		h, err := parser.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return found, nil
		}
		if err != nil {
			return false, err
		}
		found = found || h.Type == dnsmessage.TypeOPT
		if err := parser.SkipAdditional(); err != nil {
			return false, err
		}
	}
}

// Name is the canonical name asked for; "" where the question needs no decision,
// because it is answered with an error or cannot be a host's name.
func (q *Query) Name() string {
	if q.rcode != dnsmessage.RCodeSuccess {
		return ""
	}
	return q.name
}

// Type is the name of the record type asked for, as A or TYPE65.
func (q *Query) Type() string {
	s := q.question.Type.String()
	if len(s) > 4 && s[:4] == "Type" {
		s = s[4:]
	}
	return s
}

// Reply makes the answer to q. It is never longer than 512 bytes.
func (q *Query) Reply(o Outcome) []byte {
	rcode := q.rcode
	if rcode == dnsmessage.RCodeSuccess {
		switch o.Kind {
		case Known:
		case Failed:
			rcode = dnsmessage.RCodeServerFailure
		default:
			rcode = dnsmessage.RCodeNameError
		}
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{
		ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RCode: rcode,
		RecursionDesired: q.header.RecursionDesired, RecursionAvailable: true,
	})
	if q.question.Name.Length > 0 && (b.StartQuestions() != nil || b.Question(q.question) != nil) {
		return nil
	}
	known := rcode == dnsmessage.RCodeSuccess && q.question.Type == dnsmessage.TypeA && o.Addr.Is4()
	if known && (b.StartAnswers() != nil || b.AResource(dnsmessage.ResourceHeader{
		Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: ttl,
	}, dnsmessage.AResource{A: o.Addr.As4()}) != nil) {
		return nil
	}
	if q.edns && q.addOPT(&b, rcode, o) != nil {
		return nil
	}
	msg, err := b.Finish()
	if err != nil {
		return nil
	}
	return msg
}

// addOPT answers EDNS with EDNS, and with the extended error where we block.
func (q *Query) addOPT(b *dnsmessage.Builder, rcode dnsmessage.RCode, o Outcome) error {
	if err := b.StartAdditionals(); err != nil {
		return err
	}
	var h dnsmessage.ResourceHeader
	if err := h.SetEDNS0(1232, dnsmessage.RCodeSuccess, false); err != nil {
		return err
	}
	var opt dnsmessage.OPTResource
	if rcode == dnsmessage.RCodeNameError {
		why := o.Why
		if len(why) > maxWhy {
			why = why[:maxWhy]
		}
		data := binary.BigEndian.AppendUint16(nil, edeBlocked)
		opt.Options = []dnsmessage.Option{{Code: optionEDE, Data: append(data, why...)}}
	}
	return b.OPTResource(h, opt)
}
