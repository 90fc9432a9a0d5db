package policy

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Format writes a document as canonical YAML: keys in the order of the format's
// manual, strings quoted only where they must be, each item's origin as a
// comment where it is known. Parse reads it back. Comments of the source are
// not in a document; see FormatSource for those.
func Format(doc *Document) []byte {
	w := &writer{origins: true}
	w.document(doc)
	return []byte(w.b.String())
}

type writer struct {
	b       strings.Builder
	origins bool
}

// line writes one line at a depth, with its origin.
func (w *writer) line(depth int, at Position, format string, args ...any) {
	w.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&w.b, format, args...)
	if w.origins && at.File != "" {
		w.b.WriteString("  # " + printable(at.String()))
	}
	w.b.WriteByte('\n')
}

func (w *writer) document(d *Document) {
	none := Position{}
	if d.Version > 0 {
		w.line(0, none, "version: %d", d.Version)
	}
	if d.Preset != nil {
		w.line(0, d.Preset.At, "preset:")
		w.line(1, none, "name: %s", scalar(d.Preset.Name))
		if d.Preset.Description != "" {
			w.line(1, none, "description: %s", scalar(d.Preset.Description))
		}
	}
	if d.Version > 0 {
		w.filesystem(d)
	}
	if d.Landlock != nil {
		w.line(0, none, "landlock:")
		w.line(1, d.Landlock.At, "compatibility: %s", d.Landlock.Compatibility)
	}
	if d.Process != nil && *d.Process == (Process{At: d.Process.At}) {
		w.line(0, d.Process.At, "process: {}")
	} else if d.Process != nil {
		w.line(0, d.Process.At, "process:")
		w.text(1, "run_as_user", d.Process.RunAsUser)
		w.text(1, "run_as_group", d.Process.RunAsGroup)
	}
	if len(d.Network) > 0 {
		w.line(0, none, "network_policies:")
		for i := range d.Network {
			w.rule(&d.Network[i])
		}
	}
	w.middlewares(d.Middlewares)
	w.extensions(d.Nemoclaw)
	for _, c := range d.Within {
		w.b.WriteString("# within the ceiling " + printable(c.Name) + " (" + c.ownDigest() + ")\n")
	}
}

// text writes a key whose value is not empty.
func (w *writer) text(depth int, key, value string) {
	if value != "" {
		w.line(depth, Position{}, "%s: %s", key, scalar(value))
	}
}

func (w *writer) flag(depth int, key string, value bool) {
	if value {
		w.line(depth, Position{}, "%s: true", key)
	}
}

func (w *writer) filesystem(d *Document) {
	f := d.EffectiveFilesystem()
	w.line(0, f.At, "filesystem_policy:")
	w.line(1, Position{}, "include_workdir: %t", f.IncludeWorkdir)
	for _, list := range []struct {
		key   string
		paths []Path
	}{{"read_only", f.ReadOnly}, {"read_write", f.ReadWrite}} {
		if len(list.paths) == 0 {
			continue
		}
		w.line(1, Position{}, "%s:", list.key)
		for _, p := range list.paths {
			at := p.At
			if p.Optional {
				at = Position{File: "default of the format"}
			}
			w.line(2, at, "- %s", scalar(p.Path))
		}
	}
}

func (w *writer) rule(r *NetworkRule) {
	w.line(1, r.At, "%s:", scalar(r.Key))
	if r.Name != r.Key {
		w.text(2, "name", r.Name)
	}
	if len(r.Endpoints) > 0 {
		w.line(2, Position{}, "endpoints:")
	}
	for i := range r.Endpoints {
		w.endpoint(&r.Endpoints[i])
	}
	w.binaries(2, r.Binaries, r.AnyBinary)
}

func (w *writer) binaries(depth int, list []Binary, anyBinary bool) {
	if anyBinary {
		w.line(depth, Position{}, "binaries: any")
		return
	}
	if len(list) == 0 {
		w.line(depth, Position{}, "binaries: []")
		return
	}
	w.line(depth, Position{}, "binaries:")
	for _, b := range list {
		if b.SHA256 != "" {
			w.line(depth+1, b.At, "- {path: %s, sha256: %s}", flow(b.Path), scalar(b.SHA256))
			continue
		}
		w.line(depth+1, b.At, "- {path: %s}", flow(b.Path))
	}
}

func (w *writer) endpoint(e *Endpoint) {
	if e.Clamped != "" {
		w.b.WriteString("      # grants nothing: " + printable(e.Clamped) + "\n")
	}
	first := "- "
	put := func(at Position, format string, args ...any) {
		w.b.WriteString("      " + first)
		first = "  "
		w.line(0, at, format, args...)
	}
	at := e.At
	if e.Host != "" {
		put(at, "host: %s", scalar(e.Host))
		at = Position{}
	}
	if len(e.Ports) == 1 {
		put(at, "port: %d", e.Ports[0])
	} else {
		put(at, "ports: [%s]", strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Ports), " ", ", "), "[]"))
	}
	w.text(4, "path", e.Path)
	w.text(4, "protocol", string(e.Protocol))
	if e.TLSSkip {
		w.text(4, "tls", "skip")
	}
	if e.Protocol.Inspects() {
		w.text(4, "enforcement", string(e.Enforcement))
	}
	if e.Access != AccessNone {
		w.line(4, e.AccessAt, "access: %s", e.Access)
	}
	w.endpointOptions(e)
	w.rules(e)
}

func (w *writer) rules(e *Endpoint) {
	if len(e.Rules) > 0 {
		w.line(4, Position{}, "rules:")
	}
	for i := range e.Rules {
		w.line(5, e.Rules[i].At, "- allow: {%s}", ruleText(&e.Rules[i]))
	}
	if len(e.DenyRules) > 0 {
		w.line(4, Position{}, "deny_rules:")
	}
	for i := range e.DenyRules {
		w.line(5, e.DenyRules[i].At, "- {%s}", ruleText(&e.DenyRules[i]))
	}
}

// ruleText writes a rule as the inside of braces.
func ruleText(r *Rule) string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+": "+flow(value))
		}
	}
	anyOf := func(key string, list []string) {
		if len(list) == 1 {
			add(key, list[0])
		} else if len(list) > 1 {
			parts = append(parts, fmt.Sprintf("%s: {any: %s}", key, flowList(list)))
		}
	}
	add("method", r.Method)
	add("path", r.Path)
	if len(r.Query) > 0 {
		var q []string
		for _, m := range r.Query {
			if len(m.Any) == 1 {
				q = append(q, flow(m.Key)+": "+flow(m.Any[0]))
			} else {
				q = append(q, fmt.Sprintf("%s: {any: %s}", flow(m.Key), flowList(m.Any)))
			}
		}
		parts = append(parts, "query: {"+strings.Join(q, ", ")+"}")
	}
	add("operation_type", r.OperationType)
	add("operation_name", r.OperationName)
	if len(r.Fields) > 0 {
		parts = append(parts, "fields: "+flowList(r.Fields))
	}
	anyOf("tool", r.Tool)
	anyOf("params.name", r.ParamsName)
	return strings.Join(parts, ", ")
}

func flowList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = flow(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// scalar quotes a string for block context where it must be.
func scalar(s string) string {
	if s == "" || !plainStart(s[0]) || strings.Contains(s, ": ") || strings.Contains(s, " #") || strings.HasSuffix(s, ":") || needsQuotes(s) {
		return strconv.Quote(s)
	}
	return s
}

// flow quotes a string for braces or brackets.
func flow(s string) string {
	if strings.ContainsAny(s, ",[]{}:") {
		return strconv.Quote(s)
	}
	return scalar(s)
}

func plainStart(c byte) bool {
	return c == '/' || c == '_' || c == '.' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// needsQuotes finds words that YAML reads as something else, and anything but
// printable ASCII.
func needsQuotes(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "~", ".inf", ".nan":
		return true
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return true
		}
	}
	return strings.HasPrefix(s, ".") || strings.HasSuffix(s, " ")
}

// sortedKeys gives a map's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
