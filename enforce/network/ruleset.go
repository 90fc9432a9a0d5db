package network

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/expr"
)

// TableName is the table's, of the family inet.
const TableName = "nemoclaw"

// The sets and chains of the table.
const (
	setIngress   = "ingress"
	chainOwn     = "own"
	chainOwn6    = "own6"
	chainRefused = "refused"
	chainNAT     = "redirects"
	chainOutput  = "output"
	chainLeaving = "leaving"
	chainInput   = "input"
	chainFwd     = "forwarded"
)

// Ruleset is the table as data. String writes it as `nft list table` does.
type Ruleset struct {
	// Ingress are the elements of the set of ports that may be connected to
	// from outside, ascending. Empty: there is no set.
	Ingress []uint16
	Chains  []Chain
}

// Chain is one chain. One without a Hook is only jumped to.
type Chain struct {
	Name     string
	Kind     string // filter or nat; "" without a hook
	Hook     string // output, postrouting, input or forward
	Priority int32
	// Drop is what happens at the bottom of a chain with a hook: false is accept.
	Drop  bool
	Rules []Rule
}

// Rule is one rule: what it does, and why it is there.
type Rule struct {
	// Text is the rule in nft's words.
	Text string
	// Why is the rule's comment in the kernel; at most 128 bytes, because nft
	// takes no longer ones.
	Why   string
	exprs []expr.Any
}

// rule joins parts to a rule.
func rule(why string, parts ...part) Rule {
	r := Rule{Why: why}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text
		r.exprs = append(r.exprs, p.exprs...)
	}
	r.Text = strings.Join(texts, " ")
	return r
}

// String writes the table as `nft list table inet nemoclaw` does.
func (r *Ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", TableName)
	sep := ""
	if len(r.Ingress) > 0 {
		fmt.Fprintf(&b, "\tset %s {\n\t\ttype inet_service\n\t\telements = { %s }\n\t}\n", setIngress, elements(r.Ingress))
		sep = "\n"
	}
	for _, c := range r.Chains {
		fmt.Fprintf(&b, "%s\tchain %s {\n", sep, c.Name)
		sep = "\n"
		if c.Hook != "" {
			fmt.Fprintf(&b, "\t\ttype %s hook %s priority %s; policy %s;\n", c.Kind, c.Hook, priority(c), policy(c))
		}
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "\t\t%s comment %q\n", r.Text, r.Why)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// elements writes ports five in a row, as nft breaks them.
func elements(ports []uint16) string {
	var b strings.Builder
	for i, p := range ports {
		switch {
		case i == 0:
		case i%5 == 0:
			b.WriteString(",\n\t\t\t     ")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d", p)
	}
	return b.String()
}

// priority is a number, but for 0 in a filter chain, which nft has a word for.
func priority(c Chain) string {
	if c.Kind == "filter" && c.Priority == 0 {
		return "filter"
	}
	return fmt.Sprint(c.Priority)
}

func policy(c Chain) string {
	if c.Drop {
		return "drop"
	}
	return "accept"
}

// sorted returns the ports ascending, each once.
func sorted(ports []uint16) []uint16 {
	p := slices.Clone(ports)
	slices.Sort(p)
	return slices.Compact(p)
}
