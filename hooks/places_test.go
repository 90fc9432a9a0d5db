package hooks

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nemoclaw/nemoclaw/plan"
)

func placeAt(resolved string, a plan.Access, links ...string) place {
	return place{plan.PathRule{Path: resolved, Access: a, From: plan.Source{At: "p:1"}}, resolved, links}
}

func TestBoundaries(t *testing.T) {
	ro, rw := plan.ReadOnly, plan.ReadWrite
	for _, tc := range []struct {
		places []place
		want   string // boundaries, - for read-only, then what is pinned
	}{
		{[]place{placeAt("/", ro), placeAt("/w", rw)}, "[] []"},
		{[]place{placeAt("/w", rw), placeAt("/w/ro", ro)}, "[-/w/ro] []"},
		{[]place{placeAt("/w", rw), placeAt("/w/a/b/ro", ro)}, "[-/w/a/b/ro] [/w/a /w/a/b]"},
		{[]place{placeAt("/w", rw), placeAt("/w/a", rw), placeAt("/w/a/b/ro", ro)}, "[-/w/a/b/ro] [/w/a /w/a/b]"},
		{[]place{placeAt("/w", rw), placeAt("/w/a", ro), placeAt("/w/a/b", rw)}, "[-/w/a +/w/a/b] []"},
		{[]place{placeAt("/w", rw), placeAt("/w/a", ro), placeAt("/w/a/b/c", ro)}, "[-/w/a -/w/a/b/c] [/w/a/b]"},
		{[]place{placeAt("/wide", rw), placeAt("/w", ro)}, "[] []"},
	} {
		bounds, pinned := boundaries(tc.places)
		names := []string{}
		for _, b := range bounds {
			sign := "+"
			if b.readOnly {
				sign = "-"
			}
			names = append(names, sign+b.path)
		}
		if got := fmt.Sprint(names, pinned); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.places, got, tc.want)
		}
	}
}

func TestStrays(t *testing.T) {
	ro, rw := plan.ReadOnly, plan.ReadWrite
	for _, tc := range []struct {
		places []place
		want   []bool
	}{
		{[]place{placeAt("/w", rw), placeAt("/etc", rw, "/w")}, []bool{false, true}},
		{[]place{placeAt("/w", rw), placeAt("/etc", ro, "/w/sub")}, []bool{false, true}},
		{[]place{placeAt("/w", rw), placeAt("/w/there", rw, "/w")}, []bool{false, false}},
		{[]place{placeAt("/w", rw), placeAt("/usr/bin", ro, "/")}, []bool{false, false}},
		// One stray does not excuse another.
		{[]place{placeAt("/w", rw), placeAt("/etc", rw, "/w"), placeAt("/etc/x", rw, "/w")}, []bool{false, true, true}},
	} {
		if got := strays(tc.places); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %v, want %v", tc.places, got, tc.want)
		}
	}
}
