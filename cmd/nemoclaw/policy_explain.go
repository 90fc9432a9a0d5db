package main

import (
	"errors"
	"fmt"
	"path"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/policy"
)

func (p *program) policyExplainCommand() *cli.Command {
	return &cli.Command{
		Name:  "explain",
		Usage: "say what a policy answers to a request or a path, by which line, and what would change it",
		Description: `The exit status is 0 for allow and audit, 1 for deny, 2 for bad input.

    nemoclaw policy explain --policy p.yaml --url https://api.github.com/user --binary /usr/bin/curl
    nemoclaw policy explain --sandbox 3f2a --mcp-tool read_file --url https://mcp.example.com/mcp
    nemoclaw policy explain --policy p.yaml --path /etc/passwd --write`,
		Flags: append(sourceFlags(),
			&cli.StringFlag{Name: "url", Usage: "the request's `URL`"},
			&cli.StringFlag{Name: "method", Usage: "the request's `METHOD` (default GET; POST with --graphql, --mcp and --rpc)"},
			&cli.StringFlag{Name: "connect", Usage: "a connection alone, to `HOST:PORT`"},
			&cli.BoolFlag{Name: "udp", Usage: "the connection is UDP"},
			&cli.StringSliceFlag{Name: "binary", Usage: "`PATH` of a program that holds the socket; all must be allowed"},
			&cli.StringSliceFlag{Name: "ancestor", Usage: "`PATH` of its ancestors, nearest first"},
			&cli.StringFlag{Name: "websocket", Usage: "`upgrade`, text or binary"},
			&cli.StringFlag{Name: "graphql-type", Usage: "`query`, mutation or subscription"},
			&cli.StringFlag{Name: "graphql-name", Usage: "the operation's `NAME`"},
			&cli.StringSliceFlag{Name: "graphql-field", Usage: "a root `FIELD`"},
			&cli.StringFlag{Name: "mcp-method", Usage: "`METHOD` of an MCP call"},
			&cli.StringFlag{Name: "mcp-tool", Usage: "`TOOL` of an MCP tools/call"},
			&cli.StringFlag{Name: "rpc-method", Usage: "`METHOD` of a JSON-RPC call"},
			&cli.StringFlag{Name: "path", Usage: "a `PATH` of the container instead of a request"},
			&cli.BoolFlag{Name: "write", Usage: "the path is written"},
			&cli.StringFlag{Name: "workdir", Usage: "the container's work `DIRECTORY`"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON: verdict, reason, rule, at, why, would"},
		),
		Action: p.policyExplain,
	}
}

func (p *program) policyExplain(c *cli.Context) error {
	if err := exactly(c); err != nil {
		return bad(err)
	}
	doc, err := p.policyFromFlags(c)
	if err != nil {
		return bad(err)
	}
	if c.String("path") != "" {
		return p.explainPath(c, doc)
	}
	q := policy.Question{
		Method: c.String("method"), URL: c.String("url"), Connect: c.String("connect"), UDP: c.Bool("udp"),
		Binaries: c.StringSlice("binary"), Ancestors: c.StringSlice("ancestor"), WebSocket: c.String("websocket"),
		GraphQLType: c.String("graphql-type"), GraphQLName: c.String("graphql-name"), GraphQLFields: c.StringSlice("graphql-field"),
		MCPMethod: c.String("mcp-method"), MCPTool: c.String("mcp-tool"), RPCMethod: c.String("rpc-method"),
	}
	r, err := q.Request()
	if err != nil {
		return bad(hint(err, "give --url, --connect or --path"))
	}
	m, err := policy.Compile(doc)
	if err != nil {
		return bad(err)
	}
	e := m.Explain(r)
	if c.Bool("json") {
		if err := p.out.json(e); err != nil {
			return err
		}
	} else {
		p.printExplanation(e)
	}
	if e.Verdict == policy.Deny.String() {
		return errUnwell
	}
	return nil
}

// printExplanation says it in a few lines.
func (p *program) printExplanation(e policy.Explanation) {
	in := green
	switch e.Verdict {
	case "audit":
		in = yellow
	case "deny":
		in = red
	}
	p.out.printf("%s  %s (%s)\n", p.out.paint(e.Verdict, in), clean(e.Why), e.Reason)
	if e.Rule != "" {
		p.out.printf("rule:   %s\n", clean(e.Rule))
	}
	if e.At != "" {
		p.out.printf("at:     %s\n", clean(e.At))
	}
	if e.Treatment != "" {
		p.out.printf("how:    %s\n", e.Treatment)
	}
	for _, w := range e.Would {
		p.out.printf("would change it: %s\n", clean(w))
	}
}

func (p *program) explainPath(c *cli.Context, doc *policy.Document) error {
	name := c.String("path")
	if !path.IsAbs(name) {
		return bad(fmt.Errorf("--path %q is not absolute", clean(name)))
	}
	if c.String("url")+c.String("connect") != "" {
		return bad(errors.New("--path and a request are both given"))
	}
	e := doc.ExplainPath(path.Clean(name), c.String("workdir"), c.Bool("write"))
	if c.Bool("json") {
		if err := p.out.json(e); err != nil {
			return err
		}
	} else {
		p.printExplanation(policy.Explanation{Verdict: e.Verdict, Reason: policy.Reason(e.Access), At: e.At, Why: e.Why})
	}
	if e.Verdict == "deny" {
		return errUnwell
	}
	return nil
}
