package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
)

// Bounds on the parts of a document.
const (
	maxRules       = 20_000 // network_policies, endpoints, rules: each list
	maxPaths       = 256    // filesystem_policy, both lists together
	maxPathLength  = 4096
	maxNameLength  = 256
	maxMiddlewares = 10
	maxPatterns    = 32 // include and exclude of a middleware
)

// decoder turns nodes into a document and collects what is wrong.
type decoder struct {
	src      *source
	errs     Errors
	warnings []Warning
}

// Parse decodes and validates one policy file. The name is what positions
// print. Every mistake of a run is reported, up to a bound, as [Errors]; the
// document is nil then. Preset fragments (key "preset", no version) are
// accepted too.
func Parse(name string, data []byte) (*Document, []Warning, error) {
	src := &source{name: name, data: data}
	root, fail := readYAML(src)
	if fail != nil {
		return nil, nil, Errors{fail}
	}
	d := &decoder{src: src}
	doc := d.document(root)
	sum := sha256.Sum256(data)
	doc.SHA256 = hex.EncodeToString(sum[:])
	if len(d.errs) == 0 {
		d.errs = append(d.errs, disagreements(doc)...)
		for _, e := range d.errs {
			e.Excerpt = excerpt(src.line(e.At.Line), e.At.Column)
		}
	}
	if len(d.errs) > 0 {
		sort.SliceStable(d.errs, func(i, j int) bool { return d.errs[i].At.Line < d.errs[j].At.Line })
		return nil, d.warnings, d.errs
	}
	return doc, append(d.warnings, warningsOf(doc)...), nil
}

func (d *decoder) fail(at Position, fix, format string, args ...any) {
	if len(d.errs) < maxErrors {
		d.errs = append(d.errs, d.src.errorAt(at, fix, format, args...))
	}
}

func (d *decoder) warn(at Position, code, fix, format string, args ...any) {
	if len(d.warnings) < maxErrors {
		d.warnings = append(d.warnings, Warning{At: at, Code: code, Fix: fix, Msg: fmt.Sprintf(format, args...)})
	}
}

// fields calls the function of each key of a map; a key without one is an error.
func (d *decoder) fields(n *node, what string, known map[string]func(*node)) {
	if n.kind != kindMap {
		d.fail(n.at, "", "%s must be a map, not %s", what, n.describe())
		return
	}
	for _, e := range n.entries {
		read, ok := known[e.key]
		if !ok {
			d.unknown(e, what, known)
			continue
		}
		read(e.value)
	}
}

func (d *decoder) unknown(e entry, what string, known map[string]func(*node)) {
	words := make([]string, 0, len(known))
	for k := range known {
		words = append(words, k)
	}
	sort.Strings(words)
	fix := "known keys: " + strings.Join(words, ", ")
	if near := nearest(e.key, words); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	d.fail(e.at, fix, "unknown key %q in %s", printable(e.key), what)
}

// describe names a node's kind for an error.
func (n *node) describe() string {
	switch n.kind {
	case kindNull:
		return "nothing"
	case kindMap:
		return "a map"
	case kindList:
		return "a list"
	case kindBool:
		return n.text
	case kindInt, kindFloat:
		return "the number " + printable(n.text)
	}
	return strconv.Quote(printable(n.text))
}

// str reads a string. Numbers and booleans must be quoted, so that a version
// "1.10" never becomes 1.1.
func (d *decoder) str(n *node, what string) string {
	if n.kind != kindString {
		fix := ""
		if n.kind == kindInt || n.kind == kindBool || n.kind == kindFloat {
			fix = fmt.Sprintf("quote it: %q", n.text)
		}
		d.fail(n.at, fix, "%s must be a string, not %s", what, n.describe())
		return ""
	}
	if len(n.text) > maxPathLength {
		d.fail(n.at, "", "%s is longer than %d bytes", what, maxPathLength)
		return ""
	}
	for _, r := range n.text {
		if unsafeRune(r) {
			d.fail(n.at, "", "%s contains a control or direction character", what)
			return ""
		}
	}
	return n.text
}

// word reads one of a closed set.
func (d *decoder) word(n *node, what string, words ...string) string {
	s := d.str(n, what)
	for _, w := range words {
		if s == w {
			return s
		}
	}
	if n.kind == kindString {
		d.fail(n.at, "one of: "+strings.Join(words, ", "), "%s cannot be %q", what, printable(s))
	}
	return ""
}

func (d *decoder) boolean(n *node, what string) bool {
	if n.kind != kindBool {
		d.fail(n.at, "write true or false", "%s must be true or false, not %s", what, n.describe())
		return false
	}
	return strings.EqualFold(n.text, "true")
}

// integer reads a number between least and most.
func (d *decoder) integer(n *node, what string, least, most int64) int64 {
	if n.kind != kindInt {
		d.fail(n.at, "write a number without quotes", "%s must be a number, not %s", what, n.describe())
		return least
	}
	v, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, 64)
	if err != nil || v < least || v > most {
		d.fail(n.at, "", "%s must be between %d and %d, not %s", what, least, most, printable(n.text))
		return least
	}
	return v
}

// list gives the items of a list, bounded.
func (d *decoder) list(n *node, what string, most int) []*node {
	if n.kind != kindList {
		d.fail(n.at, "write a list", "%s must be a list, not %s", what, n.describe())
		return nil
	}
	if len(n.items) > most {
		d.fail(n.at, "", "%s may have %d items at most, not %d", what, most, len(n.items))
		return nil
	}
	return n.items
}

// strings reads a list of strings.
func (d *decoder) strings(n *node, what string, most int) []string {
	var out []string
	for _, item := range d.list(n, what, most) {
		out = append(out, d.str(item, what))
	}
	return out
}

func (d *decoder) document(root *node) *Document {
	doc := &Document{Name: d.src.name}
	version := (*node)(nil)
	d.fields(root, "the policy", map[string]func(*node){
		"version":             func(n *node) { version = n },
		"preset":              func(n *node) { doc.Preset = d.preset(n) },
		"filesystem_policy":   func(n *node) { doc.Filesystem = d.filesystem(n) },
		"landlock":            func(n *node) { doc.Landlock = d.landlock(n) },
		"process":             func(n *node) { doc.Process = d.process(n) },
		"network_policies":    func(n *node) { doc.Network = d.network(n) },
		"network_middlewares": func(n *node) { doc.Middlewares = d.middlewares(n) },
		"nemoclaw":            func(n *node) { doc.Nemoclaw = d.extensions(n) },
		"inference": func(n *node) {
			d.warn(n.at, "old_inference", "use nemoclaw.inference", "the old top-level section inference is ignored")
		},
	})
	d.checkRoot(doc)
	switch {
	case version != nil:
		doc.Version = int(d.integer(version, "version", 1, 1))
	case doc.Preset == nil && root.kind == kindMap:
		d.fail(root.at, "add the line: version: 1", "version is missing")
	case root.kind == kindNull:
		d.fail(root.at, "add the line: version: 1", "the policy is empty")
	}
	return doc
}

func (d *decoder) preset(n *node) *PresetInfo {
	p := &PresetInfo{At: n.at}
	d.fields(n, "preset", map[string]func(*node){
		"name":        func(n *node) { p.Name = d.str(n, "preset.name") },
		"description": func(n *node) { p.Description = d.str(n, "preset.description") },
	})
	return p
}

func (d *decoder) filesystem(n *node) *Filesystem {
	f := &Filesystem{At: n.at}
	d.fields(n, "filesystem_policy", map[string]func(*node){
		"include_workdir": func(n *node) { f.IncludeWorkdir = d.boolean(n, "include_workdir") },
		"read_only":       func(n *node) { f.ReadOnly = d.paths(n, "read_only") },
		"read_write":      func(n *node) { f.ReadWrite = d.paths(n, "read_write") },
	})
	if len(f.ReadOnly)+len(f.ReadWrite) > maxPaths {
		d.fail(n.at, "", "filesystem_policy may name %d paths at most, not %d", maxPaths, len(f.ReadOnly)+len(f.ReadWrite))
	}
	return f
}

// checkRoot refuses a writable root, except in a ceiling: there it means that
// every path may be asked for.
func (d *decoder) checkRoot(doc *Document) {
	if doc.Filesystem == nil || doc.Nemoclaw != nil && doc.Nemoclaw.Ceiling {
		return
	}
	for _, p := range doc.Filesystem.ReadWrite {
		if p.Path == "/" {
			d.fail(p.At, "name the directories that must be writable (only a ceiling, nemoclaw: {ceiling: true}, may list /)", "read_write may not be /")
		}
	}
}

func (d *decoder) paths(n *node, what string) []Path {
	var out []Path
	for _, item := range d.list(n, what, 4*maxPaths) {
		p := d.str(item, what)
		switch {
		case p == "":
			continue
		case !strings.HasPrefix(p, "/"):
			d.fail(item.at, "write the whole path from /", "the path %q is not absolute", printable(p))
		case hasDotDot(p):
			d.fail(item.at, "write the path without ..", "the path %q contains ..", printable(p))
		default:
			out = append(out, Path{Path: path.Clean(p), At: item.at})
		}
	}
	return out
}

// hasDotDot reports whether a segment of the path is "..".
func hasDotDot(p string) bool {
	for _, s := range strings.Split(p, "/") {
		if s == ".." {
			return true
		}
	}
	return false
}

func (d *decoder) landlock(n *node) *Landlock {
	l := &Landlock{Compatibility: BestEffort, At: n.at}
	d.fields(n, "landlock", map[string]func(*node){
		"compatibility": func(n *node) {
			l.Compatibility = Compatibility(d.word(n, "landlock.compatibility", string(BestEffort), string(HardRequirement)))
			l.At = n.at
		},
	})
	return l
}

func (d *decoder) process(n *node) *Process {
	p := &Process{At: n.at}
	d.fields(n, "process", map[string]func(*node){
		"run_as_user":  func(n *node) { p.RunAsUser = d.account(n, "run_as_user") },
		"run_as_group": func(n *node) { p.RunAsGroup = d.account(n, "run_as_group") },
	})
	return p
}

// account reads a name or a number of the image's users or groups. A number
// out of range must not become root (CVE-2024-40635, CVE-2026-46680).
func (d *decoder) account(n *node, what string) string {
	if n.kind == kindInt {
		return strconv.FormatInt(d.integer(n, what, 0, 1<<31-1), 10)
	}
	s := d.str(n, what)
	if s == "" {
		return ""
	}
	if s[0] >= '0' && s[0] <= '9' || s[0] == '-' || s[0] == '+' {
		if v, err := strconv.ParseInt(s, 10, 64); err != nil || v < 0 || v > 1<<31-1 {
			d.fail(n.at, "", "%s %q is not a user number", what, printable(s))
			return ""
		}
		return s
	}
	if len(s) > maxNameLength || strings.ContainsAny(s, ":/ \t,") {
		d.fail(n.at, "", "%s %q is not an account name", what, printable(s))
		return ""
	}
	return s
}
