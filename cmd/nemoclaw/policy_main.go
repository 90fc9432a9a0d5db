package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/policy"
)

// maxPolicyFile is one byte more than Parse accepts, so that it says so itself.
const maxPolicyFile = 4<<20 + 1

func (p *program) policyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "check, explain, compare and prove policies",
		Subcommands: []*cli.Command{
			p.policyLintCommand(), p.policyExplainCommand(), p.policyShowCommand(),
			p.policyTestCommand(), p.policyPresetsCommand(), p.policyProveCommand(), p.policyDiffCommand(),
			p.policySchemaCommand(), p.policyFmtCommand(), p.policySignCommand(), p.policyVerifyCommand(),
		},
	}
}

// sourceFlags say which policy a command is about.
func sourceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "policy", Usage: "policy `FILE`, or a name in policy_dir"},
		&cli.StringFlag{Name: "preset", Usage: "presets `a,b`, alone or added to --policy"},
		&cli.StringFlag{Name: "sandbox", Usage: "the effective policy of sandbox `ID`"},
		&cli.StringFlag{Name: "ceiling", Usage: "put ceiling `FILE` over it; \"builtin\" is an image's"},
	}
}

// badInput is an error of the caller's: exit status 2, so that a script can
// tell it from a refusal.
type badInput struct{ error }

func (b badInput) Unwrap() error { return b.error }

func bad(err error) error {
	if err == nil {
		return nil
	}
	return badInput{err}
}

// policyFromFlags gives the policy that the flags of sourceFlags name.
func (p *program) policyFromFlags(c *cli.Context) (*policy.Document, error) {
	doc, err := p.policyBase(c)
	if err != nil {
		return nil, err
	}
	if c.String("ceiling") == "" {
		return doc, nil
	}
	ceiling := policy.BuiltinCeiling()
	if c.String("ceiling") != "builtin" {
		if ceiling, _, err = p.readPolicy(c, c.String("ceiling")); err != nil {
			return nil, err
		}
	}
	doc, _, err = policy.Narrow(doc, ceiling)
	return doc, err
}

func (p *program) policyBase(c *cli.Context) (*policy.Document, error) {
	if id := c.String("sandbox"); id != "" {
		if c.String("policy")+c.String("preset") != "" {
			return nil, fmt.Errorf("--sandbox names a policy already; leave --policy and --preset away")
		}
		return p.policyOfSandbox(c, id)
	}
	var docs []*policy.Document
	if name := c.String("policy"); name != "" {
		doc, _, err := p.readPolicy(c, name)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	if list := c.String("preset"); list != "" {
		more, err := p.presetDocuments(c, list)
		if err != nil {
			return nil, err
		}
		docs = append(docs, more...)
	}
	if len(docs) == 0 {
		return nil, hint(errors.New("no policy is named"), "give --policy FILE, --preset a,b or --sandbox ID")
	}
	return policy.Merge(docs...)
}

func (p *program) policyOfSandbox(c *cli.Context, id string) (*policy.Document, error) {
	conf, err := p.config(c)
	if err != nil {
		return nil, err
	}
	all, err := sandboxes(conf)
	if err != nil {
		return nil, err
	}
	f, err := pick(all, id)
	if err != nil {
		return nil, err
	}
	if f.plan == nil {
		return nil, f.problem
	}
	if f.plan.Effective == nil {
		return nil, fmt.Errorf("the sandbox %s was made without a policy", clean(id))
	}
	return f.plan.Effective, nil
}

// readPolicy reads a file, a name in policy_dir, "preset:a,b", or "-".
func (p *program) readPolicy(c *cli.Context, name string) (*policy.Document, []policy.Warning, error) {
	if list, ok := strings.CutPrefix(name, "preset:"); ok {
		docs, err := p.presetDocuments(c, list)
		if err != nil {
			return nil, nil, err
		}
		doc, err := policy.Merge(docs...)
		return doc, nil, err
	}
	data, shown, err := p.policyText(c, name)
	if err != nil {
		return nil, nil, err
	}
	return policy.Parse(shown, data)
}

// policyText gives a policy's bytes and the name that positions print.
func (p *program) policyText(c *cli.Context, name string) ([]byte, string, error) {
	if name == "-" {
		data, err := io.ReadAll(io.LimitReader(os.Stdin, maxPolicyFile))
		return data, "stdin", err
	}
	if _, err := os.Stat(name); err != nil && !strings.ContainsRune(name, '/') {
		conf, confErr := p.config(c)
		if confErr != nil {
			return nil, "", confErr
		}
		file := filepath.Join(conf.PolicyDir, name)
		if filepath.Ext(file) == "" {
			file += ".yaml"
		}
		if _, statErr := os.Stat(file); statErr == nil {
			name = file
		}
	}
	data, err := readBounded(name)
	return data, name, err
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading a policy: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPolicyFile))
	if err != nil {
		return nil, fmt.Errorf("reading policy %s: %w", name, err)
	}
	return data, nil
}

// presetDocuments gives presets: a user's own of policy_dir/presets before a
// built-in one of the same name.
func (p *program) presetDocuments(c *cli.Context, list string) ([]*policy.Document, error) {
	names, err := policy.SplitNames(list)
	if err != nil {
		return nil, err
	}
	conf, err := p.config(c)
	if err != nil {
		return nil, err
	}
	settings := config.Registries(os.Getenv)
	var docs []*policy.Document
	for _, name := range names {
		file := filepath.Join(conf.PolicyDir, "presets", name+".yaml")
		var doc *policy.Document
		if _, statErr := os.Stat(file); statErr == nil {
			doc, _, err = p.readPolicy(c, file)
		} else {
			doc, err = policy.Preset(name, settings)
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

func (p *program) policyLintCommand() *cli.Command {
	return &cli.Command{
		Name:      "lint",
		Usage:     "find mistakes and traps in policies; exit status 1 on errors, 0 with warnings",
		ArgsUsage: "FILE...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print JSON: errors, warnings"},
			&cli.BoolFlag{Name: "notes", Usage: "also what good policies have, but is worth knowing"},
		},
		Action: p.policyLint,
	}
}

// lintResult is one file of `policy lint --json`. Fields are only ever added.
type lintResult struct {
	File     string           `json:"file"`
	Errors   []*policy.Error  `json:"errors"`
	Warnings []policy.Warning `json:"warnings"`
}

func (p *program) policyLint(c *cli.Context) error {
	if c.NArg() == 0 {
		return usageError(c, errors.New("FILE is missing"), true)
	}
	results, failed := []lintResult{}, false
	for _, name := range c.Args().Slice() {
		r, err := p.lintOne(c, name)
		if err != nil {
			return err
		}
		failed = failed || len(r.Errors) > 0
		results = append(results, r)
		if !c.Bool("json") {
			p.printLint(r)
		}
	}
	if c.Bool("json") {
		if err := p.out.json(results); err != nil {
			return err
		}
	}
	if failed {
		return errUnwell
	}
	return nil
}

func (p *program) lintOne(c *cli.Context, name string) (lintResult, error) {
	r := lintResult{File: name, Errors: []*policy.Error{}, Warnings: []policy.Warning{}}
	doc, warnings, err := p.readPolicy(c, name)
	var several policy.Errors
	var one *policy.Error
	switch {
	case errors.As(err, &several):
		r.Errors = several
	case errors.As(err, &one):
		r.Errors = []*policy.Error{one}
	case err != nil:
		return r, err
	}
	r.Warnings = append(r.Warnings, warnings...)
	if doc != nil && c.Bool("notes") {
		for _, w := range policy.Lint(doc) {
			if w.Note {
				r.Warnings = append(r.Warnings, w)
			}
		}
	}
	slices.SortStableFunc(r.Warnings, func(a, b policy.Warning) int { return a.At.Line - b.At.Line })
	return r, nil
}

func (p *program) printLint(r lintResult) {
	for _, e := range r.Errors {
		p.out.printf("%s\n", strings.Replace(e.Error(), e.At.Long()+": ", e.At.Long()+": "+p.out.paint("error", red)+": ", 1))
	}
	for _, w := range r.Warnings {
		p.out.printf("%s\n", strings.Replace(w.String(), ": warning: ", ": "+p.out.paint("warning", yellow)+": ", 1))
	}
	if len(r.Errors)+len(r.Warnings) == 0 {
		p.out.printf("%s: %s\n", r.File, p.out.paint("clean", green))
	}
}
