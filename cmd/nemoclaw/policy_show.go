package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/policy"
)

func (p *program) policyShowCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "print the effective policy of a sandbox, a file or presets, each line with its origin",
		ArgsUsage: "[FILE]",
		Description: `Defaults of the format are filled in. What a ceiling takes away is listed at the
end; what it narrows without taking it away is decided request by request:
explain says how.`,
		Flags:  append(sourceFlags(), &cli.BoolFlag{Name: "json", Usage: "print the document as JSON"}),
		Action: p.policyShow,
	}
}

func (p *program) policyShow(c *cli.Context) error {
	if c.NArg() == 1 && c.String("policy") == "" {
		if err := c.Set("policy", c.Args().First()); err != nil {
			return err
		}
	} else if err := exactly(c); err != nil {
		return err
	}
	doc, err := p.policyFromFlags(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.out.json(doc)
	}
	text := string(policy.Format(doc))
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		body, origin, commented := strings.Cut(line, "  # ")
		if commented {
			body += p.out.paint("  # "+origin, dim)
		}
		p.out.printf("%s\n", body)
	}
	return nil
}
