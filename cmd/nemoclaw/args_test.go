package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagsFirst(t *testing.T) {
	app := (&program{out: newTerm(nil), err: newTerm(nil)}).app()
	for _, tc := range []struct{ in, want string }{
		{"nemoclaw", "nemoclaw"},
		{"nemoclaw inspect abc --json", "nemoclaw inspect --json abc"},
		{"nemoclaw --config /c inspect abc --json", "nemoclaw --config /c inspect --json abc"},
		{"nemoclaw --config=/c inspect abc", "nemoclaw --config=/c inspect abc"},
		{"nemoclaw audit verify a b --sandbox x c", "nemoclaw audit verify --sandbox x a b c"},
		{"nemoclaw audit verify --sandbox=x a", "nemoclaw audit verify --sandbox=x a"},
		{"nemoclaw audit verify -- --json", "nemoclaw audit verify -- --json"},
		{"nemoclaw inspect - --json", "nemoclaw inspect --json -"},
		{"nemoclaw audit log --sandbox", "nemoclaw audit log --sandbox"},
		{"nemoclaw --config", "nemoclaw --config"},
		{"nemoclaw inspect abc --unknown", "nemoclaw inspect --unknown abc"},
	} {
		if got := flagsFirst(app, strings.Fields(tc.in)); !slices.Equal(got, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, want %q", tc.in, got, tc.want)
		}
	}
}
