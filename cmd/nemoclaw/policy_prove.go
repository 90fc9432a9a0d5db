package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/policy"
)

func (p *program) policyProveCommand() *cli.Command {
	return &cli.Command{
		Name:      "prove",
		Usage:     "prove that whatever one policy allows another allows too, or show what it does not",
		ArgsUsage: "A --within B",
		Description: `Exit status 0: proven. 1: not so, with a request that A allows and B refuses.
2: bad input, or too complex to say.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "within", Usage: "the wider policy `B`; \"builtin\" is an image's ceiling"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON: proven, counterexample"},
		},
		Action: p.policyProve,
	}
}

// proofResult is `policy prove --json`. Fields are only ever added.
type proofResult struct {
	Proven         bool                   `json:"proven"`
	Counterexample *policy.Counterexample `json:"counterexample"`
}

func (p *program) policyProve(c *cli.Context) error {
	if err := exactly(c, "A"); err != nil {
		return bad(err)
	}
	if c.String("within") == "" {
		return bad(usageError(c, errors.New("--within B is missing"), true))
	}
	a, _, err := p.readPolicy(c, c.Args().First())
	if err != nil {
		return bad(err)
	}
	b := policy.BuiltinCeiling()
	if c.String("within") != "builtin" {
		if b, _, err = p.readPolicy(c, c.String("within")); err != nil {
			return bad(err)
		}
	}
	found, err := policy.Prove(a, b)
	if err != nil {
		return bad(err)
	}
	if c.Bool("json") {
		if err := p.out.json(proofResult{Proven: found == nil, Counterexample: found}); err != nil {
			return err
		}
	} else if found == nil {
		p.out.printf("%s  everything that %s allows, %s allows too\n", p.out.paint("proven", green), clean(a.Name), clean(b.Name))
	} else {
		p.out.printf("%s  %s\nat:         %s\n", p.out.paint("not within", red), clean(found.What), clean(found.At))
	}
	if found != nil {
		return errUnwell
	}
	return nil
}

func (p *program) policyDiffCommand() *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "show what becomes possible and what stops from one policy to another",
		ArgsUsage: "OLD NEW",
		Description: `For each destination, method and kind one example is shown. The exit status is 0
when nothing becomes possible, 1 when something does, 2 for bad input.`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON"}},
		Action: p.policyDiff,
	}
}

func (p *program) policyDiff(c *cli.Context) error {
	if err := exactly(c, "OLD", "NEW"); err != nil {
		return bad(err)
	}
	before, _, err := p.readPolicy(c, c.Args().Get(0))
	if err != nil {
		return bad(err)
	}
	after, _, err := p.readPolicy(c, c.Args().Get(1))
	if err != nil {
		return bad(err)
	}
	changes, err := policy.Diff(before, after)
	if err != nil {
		return bad(err)
	}
	wider := false
	for _, change := range changes {
		wider = wider || change.Allowed
	}
	if c.Bool("json") {
		if changes == nil {
			changes = []policy.Change{}
		}
		err = p.out.json(changes)
	} else {
		p.printChanges(changes)
	}
	if err == nil && wider {
		return errUnwell
	}
	return err
}

func (p *program) printChanges(changes []policy.Change) {
	if len(changes) == 0 {
		p.out.printf("no difference\n")
	}
	for _, change := range changes {
		mark := p.out.paint("- stops:", red)
		if change.Allowed {
			mark = p.out.paint("+ becomes possible:", green)
		}
		p.out.printf("%s %s", mark, clean(change.What))
		if change.At != "" {
			p.out.printf("  %s", p.out.paint("("+clean(change.At)+")", dim))
		}
		p.out.printf("\n")
	}
}
