package layering

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// source is one parsed file of the tree.
type source struct {
	dir  string // of its package, below the root; "." for the root
	name string // of the file, below the root
	test bool
	ast  *ast.File
	fset *token.FileSet
	text int // lines
}

// parseTree parses every Go file below root, whatever its build constraints.
func parseTree(root string) ([]source, error) {
	var files []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); p != root && (n == "testdata" || n == "vendor" || n[0] == '.' || n[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(rel), data)
		files = append(files, s)
		return err
	})
	return files, err
}

// parse parses one file; name is below the root.
func parse(name string, data []byte) (source, error) {
	s := source{
		dir: path.Dir(name), name: name, fset: token.NewFileSet(),
		test: strings.HasSuffix(name, "_test.go"), text: strings.Count(string(data), "\n"),
	}
	var err error
	s.ast, err = parser.ParseFile(s.fset, name, data, 0)
	return s, err
}

// check returns what is wrong in the tree, one line each.
func check(files []source) []string {
	var faults []string
	for _, s := range files {
		report := func(at ast.Node, format string, args ...any) {
			line := s.fset.Position(at.Pos()).Line
			faults = append(faults, fmt.Sprintf("%s:%d: %s", s.name, line, fmt.Sprintf(format, args...)))
		}
		if roomOf(s.dir) == nil {
			report(s.ast.Name, "package %s has no line in internal/layering/table.go", s.dir)
			continue
		}
		checkImports(s, report)
		if s.test {
			checkSkips(s, report)
			continue
		}
		checkInits(s, report)
		if s.text > maxLines {
			report(s.ast.Name, "the file has %d lines, more than %d: cut it where a reader would", s.text, maxLines)
		}
	}
	return append(faults, checkGlobals(files)...)
}

// reporter takes one fault.
type reporter func(at ast.Node, format string, args ...any)

// checkImports holds the floors and the bans.
func checkImports(s source, report reporter) {
	for _, spec := range s.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			report(spec, "import path %s: %v", spec.Path.Value, err)
			continue
		}
		if dir, ours := strings.CutPrefix(imported, module+"/"); ours {
			if why := climbs(s, dir); why != "" {
				report(spec, "%s imports %s: %s", s.dir, dir, why)
			}
		}
		for _, b := range bans {
			if !s.test && isOrBelow(imported, b.imports) && b.within(s.dir) {
				report(spec, "%s imports %s: %s", s.dir, imported, b.why)
			}
		}
	}
}

// climbs says why the package of s may not import our package dir; "" if it may.
func climbs(s source, dir string) string {
	from, to := roomOf(s.dir), roomOf(dir)
	switch {
	case to == nil:
		return "it has no line in internal/layering/table.go"
	case from.floor == tools && to.floor == tools:
		return "" // tools of tests are few and know each other
	case to.floor == tools && !s.test && from.floor != top && !strings.HasSuffix(s.dir, "test"):
		// A directory whose name ends in "test" is a package's help for its tests.
		return "only tests use it"
	case from.floor < top && to.floor == top:
		return "it is for tests of the whole product"
	case from.dir == "cmd" && to.dir == "cmd":
		if command(dir) == command(s.dir) || s.test {
			return ""
		}
		return "commands do not know one another"
	case from == to || from.floor > to.floor:
		return ""
	case from.floor == to.floor:
		return fmt.Sprintf("both stand on floor %d", from.floor)
	}
	return fmt.Sprintf("it stands on floor %d, above floor %d", to.floor, from.floor)
}

// command returns the command's directory that dir is or lies in: cmd/NAME.
func command(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// checkInits refuses init functions.
func checkInits(s source, report reporter) {
	for _, d := range s.ast.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && f.Name.Name == "init" && !mayInit[s.dir] {
			report(f, "%s has an init function: do it in main, in view", s.dir)
		}
	}
}

// checkSkips refuses skips that internal/kerneltest does not see.
func checkSkips(s source, report reporter) {
	if maySkip[s.dir] {
		return
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		on, _ := sel.X.(*ast.Ident)
		switch sel.Sel.Name {
		case "Skip", "Skipf", "SkipNow":
			if on != nil && (on.Name == "t" || on.Name == "b" || on.Name == "f" || on.Name == "tb") {
				report(call, "a test skips on its own: go through internal/kerneltest, which wants a typed reason")
			}
		}
		return true
	})
}

// roomOf returns the line of the table that a directory belongs to: the longest.
func roomOf(dir string) *room {
	var best *room
	for i := range house {
		if r := &house[i]; isOrBelow(dir, r.dir) && (best == nil || len(r.dir) > len(best.dir)) {
			best = r
		}
	}
	return best
}

func isOrBelow(p, parent string) bool {
	return p == parent || strings.HasPrefix(p, parent+"/")
}

func isPure(dir string) bool {
	r := roomOf(dir)
	return r != nil && r.pure
}

func is(parent string) func(string) bool {
	return func(dir string) bool { return isOrBelow(dir, parent) }
}

func not(parents ...string) func(string) bool {
	return func(dir string) bool {
		for _, p := range parents {
			if isOrBelow(dir, p) {
				return false
			}
		}
		return true
	}
}
