package layering

import (
	"fmt"
	"go/ast"
	"go/token"
)

// checkGlobals refuses assignments to package-level variables: state that
// changes belongs to a value that somebody owns. It looks at names, not types:
// a local variable of the same name hides the global one, as in the language.
func checkGlobals(files []source) []string {
	globals := map[string]map[string]bool{} // directory → names
	for _, s := range files {
		if s.test {
			continue
		}
		for _, name := range globalsOf(s.ast) {
			if globals[s.dir] == nil {
				globals[s.dir] = map[string]bool{}
			}
			globals[s.dir][name] = true
		}
	}
	var faults []string
	for _, s := range files {
		if s.test {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			for _, target := range assigned(n) {
				if id := rootOf(target); id != nil && globals[s.dir][id.Name] && !isLocal(id, s.ast) {
					line := s.fset.Position(id.Pos()).Line
					faults = append(faults, fmt.Sprintf("%s:%d: package-level variable %s changes", s.name, line, id.Name))
				}
			}
			return true
		})
	}
	return faults
}

// globalsOf lists the package-level variables that a file declares.
func globalsOf(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, spec := range decl.Specs {
			for _, id := range spec.(*ast.ValueSpec).Names {
				if id.Name != "_" {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names
}

// assigned lists what a statement writes to, := left out.
func assigned(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	}
	return nil
}

// rootOf returns the variable that an assignment's target is part of: x of
// x.y[z].
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch t := e.(type) {
		case *ast.Ident:
			return t
		case *ast.SelectorExpr:
			e = t.X
		case *ast.IndexExpr:
			e = t.X
		case *ast.ParenExpr:
			e = t.X
		case *ast.StarExpr:
			e = t.X
		default:
			return nil
		}
	}
}

// isLocal reports whether the parser resolved the name to a declaration that is
// not at the top of the file. A package-level variable of another file is not
// resolved at all.
func isLocal(id *ast.Ident, file *ast.File) bool {
	// ast.Object is out of favour because it knows no types. None are needed here.
	obj := id.Obj
	if obj == nil {
		return false
	}
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range decl.Specs {
			if obj.Decl == any(spec) {
				return false
			}
		}
	}
	return true
}
