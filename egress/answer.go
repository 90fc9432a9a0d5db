package egress

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nemoclaw/nemoclaw/egress/http1"
	"github.com/nemoclaw/nemoclaw/policy"
)

// denial is the body of a refusal. An agent reads it and need not take policy
// for a broken network.
type denial struct {
	Error     string   `json:"error"` // policy_denied, or upstream_failed
	Reason    string   `json:"reason"`
	Message   string   `json:"message"`
	Rule      string   `json:"rule,omitempty"`
	At        string   `json:"at,omitempty"` // the policy line
	Host      string   `json:"host,omitempty"`
	Port      uint16   `json:"port"`
	Method    string   `json:"method,omitempty"`
	Path      string   `json:"path,omitempty"`
	Binary    string   `json:"binary,omitempty"`
	RequestID string   `json:"request_id"`
	NextSteps []string `json:"next_steps"`
}

// denial words a decision for the agent.
func (s *session) denial(q *http1.Request, d *policy.Decision) any {
	v := denial{
		Error: "policy_denied", Reason: string(d.Reason), Message: d.Why, Rule: d.Rule, At: d.At.String(),
		Host: s.f.target(), Port: s.f.dst.Port(), RequestID: s.requestID(),
	}
	if s.f.first != nil {
		v.Binary = s.f.first.Caller.Path
	}
	if q != nil {
		v.Method, v.Path = q.Method, q.Path
	}
	switch d.Reason {
	case ReasonNotResolved, ReasonUpstream:
		v.Error = "upstream_failed"
		v.NextSteps = []string{
			"The policy allows this; the server, or its name, could not be reached.",
			"Try again later, or check the name and the port.",
		}
	case policy.ReasonMalformed:
		v.NextSteps = []string{"Send a plain, unambiguous HTTP/1.1 request; trying the same again will not help."}
	default:
		v.NextSteps = []string{
			"This is the sandbox's policy, not a broken network: trying the same again will not help.",
			"GET http://policy.local/ shows what is allowed.",
			fmt.Sprintf("The operator finds this in the audit log as request %s.", v.RequestID),
		}
	}
	return v
}

// servePolicy explains the policy in force to the agent that it binds.
func (s *session) servePolicy(q *http1.Request) bool {
	if !s.rightHost(q.Host) || q.Method != "GET" && q.Method != "HEAD" {
		d := deny(policy.ReasonMethodNotAllowed, "policy.local answers GET alone")
		s.f.record(s.event(q, &d, 403))
		return s.reply(q, 403, s.denial(q, &d))
	}
	d := s.f.verdict
	if !s.f.record(s.event(q, &d, 200)) {
		return false
	}
	doc := s.f.res.Document
	v := struct {
		Sandbox string               `json:"sandbox"`
		Policy  string               `json:"policy"`
		Digest  string               `json:"digest"`
		Network []policy.NetworkRule `json:"network"`
		Within  []string             `json:"within,omitempty"` // ceilings that apply too
		Note    string               `json:"note"`
	}{
		Sandbox: s.f.res.ID, Policy: doc.Name, Digest: s.f.res.Digest, Network: doc.Network,
		Note: "Everything that no rule allows is denied. Rules without binaries match nothing; any_binary means every program.",
	}
	for _, w := range doc.Within {
		v.Within = append(v.Within, w.Name)
	}
	return s.reply(q, 200, v)
}

// reply answers a request ourselves, and reports whether the connection can be
// kept: not when there is a body that nobody read. A nil q is a request that
// could not be read.
func (s *session) reply(q *http1.Request, status int, v any) bool {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return false
	}
	body = append(body, '\n')
	keep := q != nil && q.Body.None() && !q.Close
	b := make([]byte, 0, 256+len(body))
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, statusText(status)...)
	b = append(b, "\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	if !keep {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	if q == nil || q.Method != "HEAD" {
		b = append(b, body...)
	}
	n, err := s.conn.Write(b)
	s.f.in.Add(int64(n))
	if !keep {
		s.lingerClose()
	}
	return keep && err == nil
}

func statusText(status int) string {
	switch status {
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 403:
		return "Forbidden"
	}
	return "Bad Gateway"
}
