package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/policy"
)

func (p *program) policyTestCommand() *cli.Command {
	return &cli.Command{
		Name:      "test",
		Usage:     "run the cases of a policy's test files; exit status 1 if one fails",
		ArgsUsage: "TESTFILE...",
		Description: `A test file names its policy and lists cases:

    policy: policy.yaml
    cases:
      - {name: reads, url: "https://api.example.com/repos", binary: /usr/bin/curl, expect: allow}
      - {path: /etc/passwd, write: true, expect: deny}`,
		Flags: append(sourceFlags(), &cli.StringFlag{Name: "junit", Usage: "also write a JUnit report to `FILE`"}),
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usageError(c, errors.New("TESTFILE is missing"), true)
			}
			return p.policyTest(c)
		},
	}
}

// JUnit's report, as CI systems read it.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
}

func (p *program) policyTest(c *cli.Context) error {
	var report junitSuites
	failed := 0
	for _, file := range c.Args().Slice() {
		suite, err := p.runCases(c, file)
		if err != nil {
			return bad(err)
		}
		failed += suite.Failures
		report.Suites = append(report.Suites, suite)
		p.out.printf("%s: %d cases, %d failed\n", file, suite.Tests, suite.Failures)
	}
	if name := c.String("junit"); name != "" {
		data, err := xml.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, append([]byte(xml.Header), append(data, '\n')...), 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if failed > 0 {
		return errUnwell
	}
	return nil
}

// runCases runs one test file against the policy it names, or that of the flags.
func (p *program) runCases(c *cli.Context, file string) (junitSuite, error) {
	suite := junitSuite{Name: file}
	data, err := readBounded(file)
	if err != nil {
		return suite, err
	}
	cases, err := policy.ParseCases(file, data)
	if err != nil {
		return suite, err
	}
	doc, err := p.policyOfCases(c, file, cases)
	if err != nil {
		return suite, err
	}
	m, err := policy.Compile(doc)
	if err != nil {
		return suite, err
	}
	for i := range cases.List {
		one := &cases.List[i]
		result := junitCase{Name: one.Name, Class: file}
		if ok, got := one.Run(m); !ok {
			suite.Failures++
			result.Failure = &junitFailure{Message: fmt.Sprintf("want %s %s, got %s", one.Expect, one.Reason, got)}
			p.out.printf("%s %s: %s: want %s %s, got %s\n", p.out.paint("FAIL", red), one.At, clean(one.Name), one.Expect, one.Reason, clean(got))
		}
		suite.Cases = append(suite.Cases, result)
	}
	suite.Tests = len(cases.List)
	return suite, nil
}

func (p *program) policyOfCases(c *cli.Context, file string, cases *policy.Cases) (*policy.Document, error) {
	if c.String("policy")+c.String("preset")+c.String("sandbox") == "" && cases.Policy != "" {
		name := cases.Policy
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		if err := c.Set("policy", name); err != nil {
			return nil, err
		}
		defer func() { _ = c.Set("policy", "") }() // the next file names its own
	}
	return p.policyFromFlags(c)
}
