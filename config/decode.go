package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/moby/sys/capability"
)

// maxErrors bounds how many faults of one file are reported.
const maxErrors = 10

// decoder fills a Config from YAML nodes and gathers what is wrong with them.
type decoder struct {
	name  string
	lines []string
	errs  []error
}

// setter takes the value of one key.
type setter func(ast.Node)

// Parse decodes a configuration; name stands for the file in errors. An error
// holds one *Error for each fault, up to ten.
func Parse(name string, data []byte) (*Config, error) {
	d := &decoder{name: name, lines: strings.Split(string(data), "\n")}
	if len(data) > MaxSize {
		return nil, &Error{File: name, Msg: fmt.Sprintf("the file has more than %d bytes", MaxSize)}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, d.syntax(err)
	}
	c := Default()
	c.Source = name
	switch body := documents(file); len(body) {
	case 0:
	case 1:
		d.mapping(body[0], "the configuration", d.topLevel(c))
	default:
		d.fail(body[1], "put all of it into the first", "the file holds a second YAML document")
	}
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	return c, nil
}

// documents returns the bodies of the documents that are not empty.
func documents(f *ast.File) []ast.Node {
	var bodies []ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		bodies = append(bodies, doc.Body)
	}
	return bodies
}

// topLevel is the configuration's vocabulary.
func (d *decoder) topLevel(c *Config) map[string]setter {
	return map[string]setter{
		"run_dir":        d.path(&c.RunDir),
		"state_dir":      d.path(&c.StateDir),
		"log_dir":        d.path(&c.LogDir),
		"policy_dir":     d.path(&c.PolicyDir),
		"libexec_dir":    d.path(&c.LibexecDir),
		"default_policy": d.path(&c.DefaultPolicy),
		"ceiling":        d.path(&c.Ceiling),
		"image_policy":   d.word(&c.ImagePolicy, ImagePolicyHonour, ImagePolicySigned, ImagePolicyIgnore),
		"image_policy_keys": d.list(func(n ast.Node) {
			var file string
			d.path(&file)(n)
			c.ImagePolicyKeys = append(c.ImagePolicyKeys, file)
		}),
		"on_unenforceable": d.word(&c.OnUnenforceable, Refuse, Warn),
		"uid_base":         d.uidBase(&c.UIDBase),
		"dns": d.section("dns", map[string]setter{
			"servers": d.list(func(n ast.Node) { d.server(n, &c.DNS.Servers) }),
			"pool":    func(n ast.Node) { d.pool(n, &c.DNS.Pool) },
		}),
		"tls": d.section("tls", map[string]setter{
			"upstream_ca_file": d.path(&c.TLS.UpstreamCAFile),
		}),
		"images": d.list(func(n ast.Node) { d.image(n, &c.Images) }),
		"allow": d.section("allow", map[string]setter{
			"host_network":  d.bool(&c.Allow.HostNetwork),
			"host_pid":      d.bool(&c.Allow.HostPID),
			"privileged":    d.bool(&c.Allow.Privileged),
			"unconfined":    d.bool(&c.Allow.Unconfined),
			"engine_socket": d.bool(&c.Allow.EngineSocket),
			"host_proc":     d.bool(&c.Allow.HostProc),
			"capabilities":  d.list(func(n ast.Node) { d.capability(n, &c.Allow.Capabilities) }),
		}),
	}
}

// mapping calls the setter of each key of n, and refuses keys that have none.
// Keys given twice are the parser's to refuse.
func (d *decoder) mapping(n ast.Node, what string, keys map[string]setter) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.fail(n, "write key: value lines", "%s is %s, not a mapping", what, kindOf(n))
		return
	}
	for _, v := range m.Values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			d.fail(v.Key, "write it out", "a key of %s is %s", what, kindOf(v.Key))
			continue
		}
		set, ok := keys[key.Value]
		if !ok {
			d.fail(key, suggest(key.Value, keys), "unknown key %q in %s", bound(key.Value), what)
			continue
		}
		set(v.Value)
	}
}

func (d *decoder) section(name string, keys map[string]setter) setter {
	return func(n ast.Node) {
		if n.Type() != ast.NullType {
			d.mapping(n, name, keys)
		}
	}
}

func (d *decoder) list(each setter) setter {
	return func(n ast.Node) {
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			d.fail(n, "write a list: [a, b]", "expected a list, found %s", kindOf(n))
			return
		}
		for _, v := range seq.Values {
			each(v)
		}
	}
}

// text returns the value of a string node; ok is false after a complaint.
func (d *decoder) text(n ast.Node) (s string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n"), true
	}
	fix := "quote it if it is meant as text"
	if n.Type() == ast.NullType {
		fix = "give it a value or remove the key"
	}
	d.fail(n, fix, "expected text, found %s", kindOf(n))
	return "", false
}

func (d *decoder) path(dst *string) setter {
	return func(n ast.Node) {
		s, ok := d.text(n)
		switch {
		case !ok:
		case !filepath.IsAbs(s):
			d.fail(n, "write it from /", "path %q is not absolute", bound(s))
		case s == "/" || filepath.Clean(s) != s || strings.ContainsRune(s, 0) || len(s) > 4096:
			d.fail(n, "write it without .., //, a closing slash, or as /", "path %q is not a clean path below /", bound(s))
		default:
			*dst = s
		}
	}
}

func (d *decoder) word(dst *string, words ...string) setter {
	return func(n ast.Node) {
		s, ok := d.text(n)
		if ok && !slices.Contains(words, s) {
			d.fail(n, "use "+strings.Join(words, ", ")+"", "unknown value %q", bound(s))
			return
		}
		*dst = s
	}
}

func (d *decoder) bool(dst *bool) setter {
	return func(n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fail(n, "write true or false", "expected true or false, found %s", kindOf(n))
			return
		}
		*dst = b.Value
	}
}

// uidBase takes a number whose whole range lies above the uids that people and
// services have, and below the kernel's highest (2^32-1 is "no uid").
func (d *decoder) uidBase(dst *uint32) setter {
	const lowest, highest = 1 << 16, 1<<32 - 1 - UIDCount
	return func(n ast.Node) {
		i, ok := n.(*ast.IntegerNode)
		v, unsigned := uint64(0), false
		if ok {
			v, unsigned = i.Value.(uint64)
		}
		if !unsigned || v < lowest || v > highest {
			d.fail(n, fmt.Sprintf("write a number from %d to %d", lowest, highest), "unfit first uid")
			return
		}
		*dst = uint32(v)
	}
}

func (d *decoder) server(n ast.Node, dst *[]netip.AddrPort) {
	s, ok := d.text(n)
	if !ok {
		return
	}
	server, err := netip.ParseAddrPort(s)
	if err != nil {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(s); err == nil {
			server = netip.AddrPortFrom(addr, 53)
		}
	}
	if err != nil || !server.Addr().IsValid() || server.Addr().IsUnspecified() || server.Port() == 0 {
		d.fail(n, "write an address, 9.9.9.9, or address and port, 9.9.9.9:53", "%q is no resolver's address", bound(s))
		return
	}
	*dst = append(*dst, server)
}

// pool takes an IPv4 block of a size that a sandbox's names fit into.
func (d *decoder) pool(n ast.Node, dst *netip.Prefix) {
	s, ok := d.text(n)
	if !ok {
		return
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is4() || p.Masked() != p || p.Bits() < 8 || p.Bits() > 24:
		d.fail(n, "write an IPv4 block from /8 to /24, as 28.192.0.0/16", "%q is no fit address block", bound(s))
	case p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsUnspecified():
		d.fail(n, "take a block of ordinary addresses that nothing here needs", "block %s has a meaning of its own", p)
	default:
		*dst = p
	}
}

// policyName is what a policy in PolicyDir may be called.
var policyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func (d *decoder) image(n ast.Node, dst *[]ImageRule) {
	before := len(d.errs)
	var r ImageRule
	d.mapping(n, "an image rule", map[string]setter{
		"image": func(n ast.Node) {
			r.Image, _ = d.text(n)
			if _, err := path.Match(r.Image, ""); err != nil {
				d.fail(n, "close its brackets", "image pattern %q is malformed", bound(r.Image))
			}
		},
		"policy": func(n ast.Node) {
			s, ok := d.text(n)
			if ok && !policyName.MatchString(s) && (!filepath.IsAbs(s) || filepath.Clean(s) != s) {
				d.fail(n, "write a name in policy_dir or an absolute path", "unfit policy name %q", bound(s))
			}
			r.Policy = s
		},
	})
	if len(d.errs) > before {
		return
	}
	if r.Image == "" || r.Policy == "" {
		d.fail(n, "write {image: GLOB, policy: NAME}", "an image rule needs both image and policy")
		return
	}
	r.Line = n.GetToken().Position.Line
	*dst = append(*dst, r)
}

func (d *decoder) capability(n ast.Node, dst *[]string) {
	s, ok := d.text(n)
	if !ok {
		return
	}
	known := slices.ContainsFunc(capability.ListKnown(), func(c capability.Cap) bool {
		return "CAP_"+strings.ToUpper(c.String()) == s
	})
	if !known {
		d.fail(n, "write it as CAP_SYS_ADMIN; see capabilities(7)", "unknown capability %q", bound(s))
		return
	}
	*dst = append(*dst, s)
}

// fail notes a fault at n.
func (d *decoder) fail(n ast.Node, fix, format string, args ...any) {
	var at *token.Position
	if n != nil && n.GetToken() != nil {
		at = n.GetToken().Position
	}
	d.failAt(at, fix, fmt.Sprintf(format, args...))
}

func (d *decoder) failAt(at *token.Position, fix, msg string) {
	if len(d.errs) >= maxErrors {
		return
	}
	e := &Error{File: d.name, Msg: msg, Fix: fix}
	if at != nil {
		e.Line, e.Column = at.Line, at.Column
		if at.Line >= 1 && at.Line <= len(d.lines) {
			e.Excerpt = bound(d.lines[at.Line-1])
		}
	}
	d.errs = append(d.errs, e)
}

// syntax puts the parser's error into our form.
func (d *decoder) syntax(err error) error {
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return &Error{File: d.name, Msg: "it is not YAML: " + bound(err.Error())}
	}
	var at *token.Position
	if t := ye.GetToken(); t != nil {
		at = t.Position
	}
	d.failAt(at, "", "it is not YAML: "+bound(ye.GetMessage()))
	return d.errs[0]
}
