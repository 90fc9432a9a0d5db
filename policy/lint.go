package policy

import (
	"fmt"
	"strings"
)

// maxWarnings bounds what Lint reports.
const maxWarnings = 500

// Lint finds what a document allows or forbids without its author meaning it.
// Parse returns the warnings among them; notes, which many good policies have,
// come only from here. What depends on the text alone (old words, fields that
// are ignored) is found by Parse.
func Lint(doc *Document) []Warning {
	l := &linter{doc: doc}
	l.filesystem()
	for i := range doc.Network {
		l.rule(&doc.Network[i])
	}
	return l.out
}

// warningsOf gives Lint without the notes.
func warningsOf(doc *Document) []Warning {
	var out []Warning
	for _, w := range Lint(doc) {
		if !w.Note {
			out = append(out, w)
		}
	}
	return out
}

type linter struct {
	doc *Document
	out []Warning
}

func (l *linter) warn(at Position, code, fix, format string, args ...any) {
	if len(l.out) < maxWarnings {
		l.out = append(l.out, Warning{At: at, Code: code, Fix: fix, Msg: fmt.Sprintf(format, args...)})
	}
}

func (l *linter) note(at Position, code, fix, format string, args ...any) {
	if len(l.out) < maxWarnings {
		l.out = append(l.out, Warning{At: at, Code: code, Fix: fix, Msg: fmt.Sprintf(format, args...), Note: true})
	}
}

// filesystem finds paths whose meaning depends on another path.
func (l *linter) filesystem() {
	f := l.doc.Filesystem
	if f == nil {
		return
	}
	for _, ro := range f.ReadOnly {
		for _, rw := range f.ReadWrite {
			switch {
			case ro.Path == rw.Path:
				l.warn(ro.At, "ro_and_rw", "keep one of them", "%s is in both lists: it is writable", ro.Path)
			case below(ro.Path, rw.Path):
				l.warn(ro.At, "ro_under_rw", "", "%s lies under the writable %s: Landlock alone would let it be written, so it becomes a read-only mount", ro.Path, rw.Path)
			}
		}
	}
	if f.IncludeWorkdir || len(f.ReadWrite) > 0 {
		return
	}
	l.warn(f.At, "nothing_writable", "add include_workdir: true, or read_write", "nothing is writable, not even the work directory")
}

func (l *linter) rule(r *NetworkRule) {
	if !r.AnyBinary && len(r.Binaries) == 0 {
		l.warn(r.At, "no_binaries", "add binaries: [{path: /usr/bin/…}], or binaries: any",
			"the rule %q names no binaries and so allows nothing", printable(r.Name))
	}
	if len(r.Endpoints) == 0 {
		l.warn(r.At, "no_endpoints", "add endpoints", "the rule %q has no endpoints and so allows nothing", printable(r.Name))
	}
	for _, b := range r.Binaries {
		if b.Path == "/**" || b.Path == "/*" || b.Path == "**" {
			l.note(b.At, "every_binary", "name the programs that make the calls", "%s matches every program", b.Path)
		}
	}
	for i := range r.Endpoints {
		l.endpoint(&r.Endpoints[i])
	}
}

func (l *linter) endpoint(e *Endpoint) {
	l.host(e)
	for _, p := range e.Ports {
		if refusedPort(p) {
			l.warn(e.At, "refused_port", "take the port away", "port %d belongs to a cluster's control plane and is never reached", p)
		}
	}
	switch {
	case e.Protocol.Inspects() && e.Enforcement != EnforcementEnforce:
		l.warn(e.At, "only_audits", "add enforcement: enforce", "the endpoint only audits: what the rules do not allow is recorded and forwarded")
	case e.TLSSkip:
		l.note(e.At, "fronting", "leave tls away, if the client accepts the sandbox's CA", "tls: skip relays untouched: a server that also serves other names can be asked for them")
	case e.Protocol == ProtocolL4:
		l.note(e.At, "not_inspected", "add protocol: rest", "nothing is inspected: every method and path of %s is allowed", hostOrRanges(e))
	}
	l.rules(e)
}

func hostOrRanges(e *Endpoint) string {
	if e.Host == "" {
		return fmt.Sprint(e.AllowedIPs)
	}
	return e.Host
}

// host finds names that lead somewhere unexpected.
func (l *linter) host(e *Endpoint) {
	for _, m := range metadataNames() {
		if e.Host != "" && hostMatches(e.Host, m) {
			l.warn(e.At, "metadata_host", "name the hosts that are needed", "%s covers %s, a cloud's metadata service: its address is refused, but the name says what could be asked", e.Host, m)
			break
		}
	}
	if a, ok := parseHostAddress(e.Host); ok && RefusedAddress(a) {
		l.warn(e.At, "refused_address", "take the endpoint away", "%s is never reached", e.Host)
	}
	if !strings.Contains(e.Host, "*") {
		return
	}
	labels := strings.Split(e.Host, ".")
	if len(labels) == 2 {
		l.warn(e.At, "registrable", "name the domain", "anybody can register a name that %s matches", e.Host)
	}
	for i, label := range labels[1:] {
		if label == "*" && len(labels)-i-2 < 2 {
			l.warn(e.At, "registrable", "name the domain", "anybody can register a name that %s matches", e.Host)
		}
	}
	for _, shared := range sharedDomains() {
		if patternWithin(e.Host, "**."+shared) {
			l.note(e.At, "shared_domain", "name the hosts that are needed", "anybody can get a name under %s", shared)
		}
	}
}

// metadataNames are names of metadata services.
func metadataNames() []string {
	return []string{"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal", "metadata.azure.internal", "metadata.packet.net", "metadata.platformequinix.com", "metadata.tencentyun.com"}
}

// sharedDomains are domains whose subdomains are given out to anybody.
func sharedDomains() []string {
	return []string{"amazonaws.com", "cloudfront.net", "github.io", "herokuapp.com", "azurewebsites.net", "blob.core.windows.net", "appspot.com", "run.app", "web.app", "firebaseapp.com", "vercel.app", "netlify.app", "pages.dev", "workers.dev", "r2.dev", "ngrok.io", "ngrok-free.app", "trycloudflare.com", "nip.io", "sslip.io", "duckdns.org", "discord.gg"}
}

// rules finds rules that never decide anything, and denies with a hole.
func (l *linter) rules(e *Endpoint) {
	if e.Protocol != ProtocolREST && e.Protocol != ProtocolWebSocket {
		return
	}
	for i := range e.Rules {
		r := &e.Rules[i]
		for j := range e.DenyRules {
			if covers(&e.DenyRules[j], r) {
				l.warn(r.At, "unreachable", "take one of them away", "the rule never allows anything: the deny at %s covers it", e.DenyRules[j].At)
				break
			}
		}
		for j := range e.Rules[:i] {
			if covers(&e.Rules[j], r) {
				l.note(r.At, "redundant", "take it away", "the rule at %s already allows this", e.Rules[j].At)
				break
			}
		}
		l.deepAllow(e, r)
	}
	for i := range e.DenyRules {
		l.deny(e, &e.DenyRules[i])
	}
}

// deepAllow: /x/** does not match /x.
func (l *linter) deepAllow(e *Endpoint, r *Rule) {
	base, deep := strings.CutSuffix(r.Path, "/**")
	if !deep || strings.Contains(base, "*") {
		return
	}
	if base == "" {
		base = "/"
	}
	for i := range e.Rules {
		if covers(&e.Rules[i], &Rule{Method: r.Method, Path: base}) {
			return
		}
	}
	l.note(r.At, "deep_without_base", fmt.Sprintf("add {method: %s, path: %s} if it is meant too", orAny(r.Method), base), "%s does not match %s", r.Path, base)
}

func orAny(method string) string {
	if method == "" {
		return `"*"`
	}
	return method
}

// deny: a deny that leaves the base of its path, or denies what is not allowed.
func (l *linter) deny(e *Endpoint, r *Rule) {
	base, deep := strings.CutSuffix(r.Path, "/**")
	if !deep || base == "" || strings.ContainsAny(base, "*?[") {
		return
	}
	for i := range e.DenyRules {
		if covers(&e.DenyRules[i], &Rule{Method: r.Method, Path: base}) {
			return
		}
	}
	l.warn(r.At, "deny_without_base", fmt.Sprintf("add {method: %s, path: %s}", orAny(r.Method), base), "the deny of %s leaves %s open", r.Path, base)
}

// covers reports whether one rule matches whatever another matches; it may say
// no too often.
func covers(outer, inner *Rule) bool {
	if len(outer.Query) > 0 {
		return false
	}
	if outer.Method != "" && outer.Method != "*" && outer.Method != inner.Method {
		return false
	}
	if outer.Path == "**" || outer.Path == "" || outer.Path == inner.Path {
		return true
	}
	if outer.Path == "/**" && strings.HasPrefix(inner.Path, "/") && len(inner.Path) > 1 && inner.Path[1] != '[' {
		return true
	}
	if strings.ContainsAny(inner.Path, "*?[") {
		return false
	}
	g, err := compileGlob(canonicalPathPattern(outer.Path), '/')
	return err == nil && g.match(canonicalPathPattern(inner.Path))
}
