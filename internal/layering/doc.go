// Package layering holds the table of docs/architecture.md: which packages
// there are, on which floor each stands, and what each may import. Its test
// parses the tree in its own process; asked of `go list`, `go test` would answer
// from its cache.
//
// A package that is not in the table has no place yet. To change the house,
// change the table in the commit that shows the better cut, and say why there.
package layering
