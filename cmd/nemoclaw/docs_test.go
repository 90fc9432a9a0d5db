package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestDocsNameEverything holds that man page and docs/cli name every command and
// flag that people can type. Whether they say the truth, a test cannot know.
func TestDocsNameEverything(t *testing.T) {
	man, err := os.ReadFile("../../docs/man/nemoclaw.8")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/cli/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	var docs strings.Builder
	for _, p := range pages {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		docs.Write(data)
	}
	texts := map[string]string{
		"docs/man/nemoclaw.8": strings.ReplaceAll(string(man), `\-`, "-"),
		"docs/cli":            docs.String(),
	}
	app := (&program{out: newTerm(nil), err: newTerm(nil)}).app()
	missing := func(what string) {
		for where, text := range texts {
			if !strings.Contains(text, what) {
				t.Errorf("%s does not name %s", where, what)
			}
		}
	}
	for _, f := range app.Flags {
		missing("--" + f.Names()[0])
	}
	walk(app.Commands, "", func(name string, c *cli.Command) {
		missing(name)
		for _, f := range c.Flags {
			missing("--" + f.Names()[0])
		}
	})
}

// walk visits the commands that do something, by their full names. The policy
// commands have pages of their own.
func walk(commands []*cli.Command, prefix string, visit func(string, *cli.Command)) {
	for _, c := range commands {
		if c.Hidden || c.Name == "policy" {
			continue
		}
		if len(c.Subcommands) > 0 {
			walk(c.Subcommands, c.Name+" ", visit)
			continue
		}
		visit(prefix+c.Name, c)
	}
}
