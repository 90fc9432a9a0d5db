package main

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"
)

func (p *program) sandboxesCommand() *cli.Command {
	return &cli.Command{
		Name:    "sandboxes",
		Aliases: []string{"ls", "ps"},
		Usage:   "list the sandboxes of this host",
		Flags:   []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON"}},
		Action:  p.listSandboxes,
	}
}

// sandboxLine is one sandbox in `sandboxes --json`. Fields are only ever added.
type sandboxLine struct {
	ID          string `json:"id"`
	Name        string `json:"name,omitempty"`  // the engine's
	Image       string `json:"image,omitempty"` // the engine's
	State       string `json:"state"`           // created, running, stopped, unknown
	PID         int    `json:"pid,omitempty"`
	Policy      string `json:"policy,omitempty"`
	Origin      string `json:"origin,omitempty"`
	Digest      string `json:"policy_digest,omitempty"`
	LandlockABI int    `json:"landlock_abi"`
	Weaker      int    `json:"weaker"`
	Clamped     int    `json:"clamped"`
	Problem     string `json:"problem,omitempty"`
}

func (p *program) listSandboxes(c *cli.Context) error {
	if err := exactly(c); err != nil {
		return err
	}
	conf, err := p.config(c)
	if err != nil {
		return err
	}
	all, err := sandboxes(conf)
	if err != nil {
		return err
	}
	lines := make([]sandboxLine, 0, len(all))
	for _, f := range all {
		lines = append(lines, f.line())
	}
	if c.Bool("json") {
		return p.out.json(lines)
	}
	if len(lines) == 0 {
		p.out.printf("no sandboxes\n")
		return nil
	}
	rows := [][]cell{cells("ID", "NAME", "STATE", "POLICY", "FROM", "NOTES")}
	for _, l := range lines {
		rows = append(rows, l.row())
	}
	p.out.table("", rows)
	return nil
}

// line sums a sandbox up. Names and references may come from hostile hands.
func (f *found) line() sandboxLine {
	l := sandboxLine{ID: clean(f.dir.ID()), State: f.state}
	if f.engine != nil {
		l.Name, l.Image = clean(f.engine.Name), clean(f.engine.Image)
	}
	if f.plan != nil {
		l.Policy, l.Origin, l.Digest = clean(f.plan.Policy.Name), string(f.plan.Policy.Origin), f.plan.Policy.Digest
		l.LandlockABI = f.plan.Filesystem.ABI
		l.Weaker, l.Clamped = len(f.plan.Weaker), len(f.plan.Clamped)
	}
	if f.kernel != nil {
		l.PID = f.kernel.PID
	}
	if f.problem != nil {
		l.Problem = clean(f.problem.Error())
	}
	return l
}

func (l *sandboxLine) row() []cell {
	state := cell{text: l.State}
	switch l.State {
	case stateRunning:
		state.in = green
	case stateUnknown:
		state.in = red
	case stateStopped:
		state.in = dim
	}
	note := cell{}
	switch {
	case l.Problem != "":
		note = cell{l.Problem, red}
	case l.LandlockABI == 0:
		note = cell{"no Landlock", red}
	case l.Weaker > 0:
		note = cell{plural(l.Weaker, "thing", "things") + " weaker than the policy", yellow}
	}
	return []cell{{shortID(l.ID), bold}, {text: l.Name}, state, {text: l.Policy}, {text: l.Origin}, note}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// yesNo puts a truth into a table.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// orNone names an empty list.
func orNone(s []string) string {
	if len(s) == 0 {
		return "none"
	}
	return fmt.Sprint(len(s)) + ": " + join(s)
}

func join(s []string) string {
	out := ""
	for i, v := range s {
		if i > 0 {
			out += ", "
		}
		out += clean(v)
	}
	return out
}
