package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func addSeeds(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no seeds: ", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

// FuzzParse: no input breaks the decoder, and what it accepts compiles, narrows,
// and survives being written and read again.
func FuzzParse(f *testing.F) {
	addSeeds(f, "testdata/policies/*/*.yaml", "presets/github-rw.yaml", "presets/slack.yaml")
	for _, s := range []string{"", "version: 1", "version: 1\na: &x {}\nb: *x", "{version: 1, nemoclaw: {ingress: [{port: 1}]}}", "version: 1\nnetwork_policies: {a: {endpoints: [{port: 1, allowed_ips: [10.0.0.0/8]}], binaries: any}}", "version: 1\nlandlock:\n- a\n", "? a\n: b", "a: |\n  b\n c", "[[[[[[", "version: 1\n\tb: 2", "preset: {name: a}\nnetwork_policies: {}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		doc, _, err := Parse("fuzz", data)
		if err != nil {
			if doc != nil {
				t.Fatal("a document and an error")
			}
			return
		}
		if _, err := Compile(doc); err != nil {
			t.Fatalf("accepted, but does not compile: %v", err)
		}
		narrow, _, err := Narrow(doc, BuiltinCeiling())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Compile(narrow); err != nil {
			t.Fatalf("narrowed, it does not compile: %v", err)
		}
		text := Format(doc)
		again, _, err := Parse("again", text)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, text)
		}
		if withoutPositions(again) != withoutPositions(doc) {
			t.Fatalf("writing changes it:\n%s\n---\n%s", text, Format(again))
		}
	})
}

// FuzzGlob compares the matcher with the automaton, which are two ways to say
// the same: a proof holds only if they agree.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"/repos/**", "/repos/a"}, {"/**/x/*", "/a/b/x/c"}, {"**", ""}, {"/a*b[a-c]?", "/aaabcd"}, {"/**/a/**/b", "/x/a/a/b/b"}, {"*/**", "a/b/"}, {"/[!a]/*", "/b/c"}, {"**x**", "axb"}, {"/a/**", "/a/"}, {"/**", "/"}, {"/**/**", "/a/b"}, {"a[]]", "a]"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		g, err := compileGlob(pattern, '/')
		if err != nil || len(pattern) > 64 || len(subject) > 64 || strings.ContainsFunc(subject+pattern, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			return
		}
		a := &automaton{}
		p := a.glob(g, printableExcept(""))
		states := a.close([]int32{p.in})
		for i := 0; i < len(subject); i++ {
			states = a.close(a.step(states, subject[i]))
		}
		accepted := false
		for _, s := range states {
			accepted = accepted || s == p.out
		}
		if got := g.match(subject); got != accepted {
			t.Fatalf("%q on %q: the matcher says %v, the automaton %v", pattern, subject, got, accepted)
		}
	})
}

// FuzzHost compares the index with the plain reading of a pattern.
func FuzzHost(f *testing.F) {
	for _, s := range [][2]string{{"*.a.com", "b.a.com"}, {"**.a.com", "c.b.a.com"}, {"*-x.a.com", "b-x.a.com"}, {"a.*.b.com", "a.c.b.com"}, {"A.com.", "a.COM"}, {"10.0.0.1", "10.0.0.1"}, {"*.*.a.com", "x.y.a.com"}, {"**.*.a.com", "x.y.z.a.com"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		pattern, bad := canonicalPattern(pattern)
		host, ok := CanonicalHost(host)
		if bad != nil || !ok {
			return
		}
		if again, ok := CanonicalHost(host); !ok || again != host {
			t.Fatalf("%q is not canonical: %q", host, again)
		}
		doc := &Document{Version: 1, Network: []NetworkRule{{AnyBinary: true, Endpoints: []Endpoint{{Host: pattern, Ports: []uint16{443}}}}}}
		m, err := Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		want := hostMatches(pattern, host)
		if got := m.Name(host) == NameAllowed; got != want && !isAddress(host) {
			t.Fatalf("%q on %q: the index says %v, the pattern %v", pattern, host, got, want)
		}
		if want && !hostsOverlap(pattern, host) {
			t.Fatalf("%q matches %q, but they do not overlap", pattern, host)
		}
	})
}

// FuzzLabel: no label breaks anything, and a name never leads out of a directory.
func FuzzLabel(f *testing.F) {
	for _, s := range []string{"preset:github,slack", "version: 1", "dmVyc2lvbjogMQo=", "default", "../etc/passwd", "", "preset:", "{version: 1}", "a,b", "dmVyc2lvbjogMQo"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		l, err := ParseLabel(value)
		if err != nil {
			return
		}
		for _, n := range l.Names {
			if strings.ContainsAny(n, "/\x00 ") || strings.HasPrefix(n, ".") || n == "" {
				t.Fatalf("%q is no name", n)
			}
		}
		if l.Kind == LabelInline && len(bytes.TrimSpace(l.Data)) == 0 {
			t.Fatal("an empty document")
		}
	})
}

// FuzzPath: a normalised path is normal, and has none of the forms that servers
// read in different ways.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2e/a", "/a%2fb", "//a", "/a;b/c", "/a/..;/b", "/%", "/é", "/a/./b/", "/..", "/a%252fb", "/.", "/a/.."} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, escaped string, keepSlash bool) {
		p, ok := NormalizePath(escaped, keepSlash)
		if !ok {
			return
		}
		if again, ok := NormalizePath(p, keepSlash); !ok || again != p {
			t.Fatalf("%q became %q, which becomes %q", escaped, p, again)
		}
		lower := strings.ToLower(p)
		for _, bad := range []string{"//", "/./", "/../", ";", "\\", "%5c", "%00", "%2e"} {
			if strings.Contains(lower, bad) {
				t.Fatalf("%q keeps %q: %q", escaped, bad, p)
			}
		}
		if !keepSlash && strings.Contains(lower, "%2f") || strings.HasSuffix(p, "/..") || strings.HasSuffix(p, "/.") || p[0] != '/' || len(p) > maxPath {
			t.Fatalf("%q became %q", escaped, p)
		}
	})
}
