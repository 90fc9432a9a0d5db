package policy

import (
	"fmt"
	"strings"
)

// Explanation is a decision for people and programs.
type Explanation struct {
	Verdict string   `json:"verdict"` // allow, audit or deny
	Reason  Reason   `json:"reason"`
	Rule    string   `json:"rule,omitempty"`
	At      string   `json:"at,omitempty"` // file:line
	Why     string   `json:"why"`
	Would   []string `json:"would,omitempty"` // what would change the answer
	// Treatment says what happens to an allowed connection.
	Treatment string `json:"treatment,omitempty"`
}

// Explain decides like Decide, and says what would change a refusal.
func (m *Matcher) Explain(r *Request) Explanation {
	d := m.Decide(r)
	e := Explanation{Verdict: d.Verdict.String(), Reason: d.Reason, Rule: d.Rule, At: d.At.String(), Why: d.Why}
	if d.Verdict != Deny {
		e.Treatment = d.Treatment.String()
	}
	if d.Verdict != Allow {
		e.Would = would(r, &d)
	}
	return e
}

// would names the smallest change to the policy.
func would(r *Request, d *Decision) []string {
	at := d.At.String()
	rule := fmt.Sprintf("{allow: {method: %s, path: %s}}", r.Method, r.Path)
	switch d.Reason {
	case ReasonNoRuleForHost:
		return []string{fmt.Sprintf("an endpoint {host: %s, port: %d} in a rule whose binaries name %s", destination(r), r.Port, programs(r))}
	case ReasonPortNotAllowed:
		return []string{fmt.Sprintf("port %d at the endpoint of %s", r.Port, at)}
	case ReasonBinaryNotAllowed:
		return []string{fmt.Sprintf("a binary {path: %s} in the rule %q", programs(r), d.Rule)}
	case ReasonMethodNotAllowed, ReasonPathNotAllowed:
		if len(r.RPC) > 0 {
			return []string{fmt.Sprintf("{allow: {method: %s}} in the rules at %s", r.RPC[0].Method, at)}
		}
		return []string{fmt.Sprintf("%s in the rules of %q (%s)", rule, d.Rule, at)}
	case ReasonQueryNotAllowed:
		return []string{fmt.Sprintf("a query that matches the rule at %s", at)}
	case ReasonToolNotAllowed:
		return []string{fmt.Sprintf("{allow: {tool: %s}} in the rules at %s", r.RPC[0].Tool, at)}
	case ReasonOperation:
		return []string{fmt.Sprintf("an operation_type, operation_name and fields that match, in the rules at %s", at)}
	case ReasonDeniedByRule:
		return []string{fmt.Sprintf("taking the deny at %s away", at)}
	case ReasonCeiling:
		return []string{"a wider ceiling (" + orUnknown(at) + "); the policy itself cannot change it"}
	case ReasonMessage:
		return []string{fmt.Sprintf("{allow: {method: %s, path: %s}} in the rules at %s", methodText, r.Path, at)}
	case ReasonAddressNotAllowed:
		return []string{fmt.Sprintf("%s in allowed_ips at %s", r.Addr, at)}
	case ReasonMalformed:
		return []string{"a request with one meaning; no policy allows this one"}
	}
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "no rule of it matches"
	}
	return s
}

func destination(r *Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.Addr.String()
}

// programs names the callers.
func programs(r *Request) string {
	if len(r.Callers) == 0 {
		return "any"
	}
	var out []string
	for _, c := range r.Callers {
		out = append(out, c.Path)
	}
	return strings.Join(out, " and ")
}

// FileExplanation answers whether a path may be read or written.
type FileExplanation struct {
	Verdict string `json:"verdict"` // allow or deny
	Access  string `json:"access"`  // nothing, read_only, read_write
	At      string `json:"at,omitempty"`
	Why     string `json:"why"`
}

// ExplainPath says what the document gives at an absolute, cleaned path.
// workdir is the container's work directory, "" if not known.
func (d *Document) ExplainPath(path, workdir string, write bool) FileExplanation {
	f := d.EffectiveFilesystem()
	if f.IncludeWorkdir && workdir != "" {
		f.ReadWrite = append(f.ReadWrite[:len(f.ReadWrite):len(f.ReadWrite)], Path{Path: workdir, At: f.At})
	}
	l := f.level(path)
	e := FileExplanation{Verdict: "deny", Access: l.String(), Why: "no path at or above it is listed"}
	if l == levelWrite || l == levelRead && !write {
		e.Verdict = "allow"
	}
	if p := f.decider(path); p != nil {
		e.At = p.At.String()
		e.Why = fmt.Sprintf("%s is %s", p.Path, l)
	}
	return e
}

// decider gives the longest listed path at or above a path.
func (f *Filesystem) decider(path string) *Path {
	var best *Path
	for _, list := range [...][]Path{f.ReadWrite, f.ReadOnly} {
		for i := range list {
			if below(path, list[i].Path) && (best == nil || len(list[i].Path) > len(best.Path)) {
				best = &list[i]
			}
		}
	}
	return best
}
