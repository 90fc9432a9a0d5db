package layering

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTree holds the table over the whole repository.
func TestTree(t *testing.T) {
	files, err := parseTree("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files were parsed: this is not the repository's root", len(files))
	}
	for _, fault := range check(files) {
		t.Error(fault)
	}
}

// TestCheck holds that each rule catches what it is for.
func TestCheck(t *testing.T) {
	for _, tc := range []struct{ name, file, text, want string }{
		{"downward", "plan/a.go", `package plan; import _ "github.com/nemoclaw/nemoclaw/policy"`, ""},
		{"upward", "policy/a.go", `package policy; import _ "github.com/nemoclaw/nemoclaw/plan"`, "stands on floor 1"},
		{"siblings", "egress/a.go", `package egress; import _ "github.com/nemoclaw/nemoclaw/config"`, "both stand on floor 2"},
		{"family", "egress/a.go", `package egress; import _ "github.com/nemoclaw/nemoclaw/egress/dns"`, ""},
		{"siblings with a common parent", "enforce/seccomp/a.go",
			`package seccomp; import _ "github.com/nemoclaw/nemoclaw/enforce/network"`, "both stand on floor 2"},
		{"no place", "misc/a.go", `package misc`, "has no line"},
		{"import of no place", "cmd/x/a.go", `package main; import _ "github.com/nemoclaw/nemoclaw/misc"`, "has no line"},
		{"pure", "runtime/specedit/a.go", `package specedit; import _ "os/exec"`, "cannot act"},
		{"pure, below", "policy/sub/a.go", `package sub; import _ "net/http/httptest"`, "cannot act"},
		{"pure, in a test", "policy/a_test.go", `package policy; import _ "os/exec"`, ""},
		{"libcontainer in runtime", "runtime/a.go", `package runtime; import _ "github.com/opencontainers/runc/libcontainer"`, ""},
		{"libcontainer elsewhere", "hooks/a.go", `package hooks; import _ "github.com/opencontainers/runc/libcontainer"`, "only package runtime"},
		{"cgo", "hooks/a.go", `package hooks; import "C"`, "one cgo binary"},
		{"commands", "cmd/a/a.go", `package main; import _ "github.com/nemoclaw/nemoclaw/cmd/b"`, "do not know one another"},
		{"test tools", "hooks/a.go", `package hooks; import _ "github.com/nemoclaw/nemoclaw/internal/kerneltest"`, "only tests use it"},
		{"test tools in a test", "hooks/a_test.go", `package hooks; import _ "github.com/nemoclaw/nemoclaw/internal/kerneltest"`, ""},
		{"lab in a unit test", "hooks/a_test.go", `package hooks; import _ "github.com/nemoclaw/nemoclaw/integration/lab"`, "tests of the whole product"},
		{"init", "hooks/a.go", `package hooks; func init() {}`, "init function"},
		{"init as a method", "hooks/a.go", `package hooks; type t int; func (t) init() {}`, ""},
		{"libcontainer's init", "cmd/nemoclaw-runtime/a.go", `package main; func init() {}`, ""},
		{"skip", "hooks/a_test.go", `package hooks; func f(t *T) { t.Skip("no") }`, "skips on its own"},
		{"global set", "hooks/a.go", `package hooks; var a int; func f() { a = 1 }`, "variable a changes"},
		{"global's element set", "hooks/a.go", `package hooks; var a []int; func f() { a[0]++ }`, "variable a changes"},
		{"global's field set", "hooks/a.go", `package hooks; var a struct{ x int }; func f() { a.x += 1 }`, "variable a changes"},
		{"local of the same name", "hooks/a.go", `package hooks; var a int; func f() { a := 1; a = 2; _ = a }`, ""},
		{"local var of the same name", "hooks/a.go", `package hooks; var a int; func f() { var a int; a = 2; _ = a }`, ""},
		{"parameter of the same name", "hooks/a.go", `package hooks; var a int; func f(a int) { a = 2 }`, ""},
		{"long file", "hooks/a.go", "package hooks\n" + strings.Repeat("\n", 400), "more than 400"},
		{"long test", "hooks/a_test.go", "package hooks\n" + strings.Repeat("\n", 400), ""},
	} {
		s, err := parse(tc.file, []byte(tc.text))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		faults := check([]source{s})
		switch {
		case tc.want == "" && len(faults) > 0:
			t.Errorf("%s: %q, want none", tc.name, faults)
		case tc.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], tc.want)):
			t.Errorf("%s: %q, want one with %q", tc.name, faults, tc.want)
		}
	}
}

// TestGlobalOfAnotherFile holds that the rule sees the package and not the file.
func TestGlobalOfAnotherFile(t *testing.T) {
	a, err := parse("hooks/a.go", []byte("package hooks; var a int"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse("hooks/b.go", []byte("package hooks; func f() { a = 1 }"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"hooks/b.go:1: package-level variable a changes"}
	if got := check([]source{a, b}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSecurityNamesRealTests holds that the tests by which SECURITY.md says that
// an invariant is held are there.
func TestSecurityNamesRealTests(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := parseTree("../..")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, s := range files {
		for _, d := range s.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test {
				have[f.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 10 {
		t.Fatalf("SECURITY.md names only %d tests", len(named))
	}
	for _, n := range named {
		if !have[n[1]] {
			t.Errorf("SECURITY.md names %s, which is not there", n[1])
		}
	}
}
