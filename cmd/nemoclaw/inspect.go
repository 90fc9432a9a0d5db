package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/posture"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

func (p *program) inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show a sandbox's plan, what is really enforced, and by which policy line",
		ArgsUsage: "ID",
		Description: `ID is a sandbox's id, the beginning of it, or the engine's name for the container.
The exit status is 1 when the kernel says less of the agent than the plan does.`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON: plan, enforced, kernel, checks"}},
		Action: p.inspect,
	}
}

// inspection is `inspect --json`. Fields are only ever added.
type inspection struct {
	State    string            `json:"state"`
	Plan     *plan.Plan        `json:"plan"`
	Enforced *sandbox.Enforced `json:"enforced"` // null: not carried out yet
	Kernel   *posture.Process  `json:"kernel"`   // null: no process
	Checks   []check           `json:"checks"`   // only while running
	Agrees   bool              `json:"agrees"`   // every check does; false when not running
}

func (p *program) inspect(c *cli.Context) error {
	if err := exactly(c, "ID"); err != nil {
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
	f, err := pick(all, c.Args().First())
	if err != nil {
		return err
	}
	if f.plan == nil {
		return f.problem
	}
	in := inspection{State: f.state, Plan: f.plan, Enforced: f.enforced, Kernel: f.kernel, Checks: []check{}}
	if f.state == stateRunning {
		in.Checks = compare(f.plan, f.kernel)
		in.Agrees = disagreements(in.Checks) == 0
	}
	if c.Bool("json") {
		err = p.out.json(in)
	} else {
		p.show(f, &in)
	}
	if err == nil && f.state == stateRunning && !in.Agrees {
		return errUnwell
	}
	return err
}

// show prints an inspection for people, a section for each part of the plan.
func (p *program) show(f *found, in *inspection) {
	p.showIdentity(f)
	p.showKernel(in)
	p.showFilesystem(in)
	p.showProcess(f.plan)
	p.showNetwork(f)
	p.showWeaker(f.plan)
}

func (p *program) showIdentity(f *found) {
	rows := [][]cell{cells("id", clean(f.plan.ID)), cells("state", f.state)}
	if f.engine != nil {
		rows = append(rows, cells("container", clean(f.engine.Name)), cells("image", clean(f.engine.Image)))
	}
	rows = append(rows,
		cells("policy", document(&f.plan.Policy)),
		cells("ceiling", document(&f.plan.Ceiling)))
	if f.enforced != nil && f.enforced.AuditLog != "" {
		rows = append(rows, cells("audit log", clean(f.enforced.AuditLog)))
	}
	p.out.heading("sandbox")
	p.out.table("  ", rows)
	if f.problem != nil {
		p.out.printf("  %s\n", p.out.paint(clean(f.problem.Error()), red))
	}
}

// document says which policy document it is and who wrote it.
func document(d *plan.Document) string {
	if d.Name == "" && d.Digest == "" {
		return "none"
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s) %s", clean(d.Name), d.Origin, clean(d.Digest)))
}

func (p *program) showKernel(in *inspection) {
	p.out.heading("what the kernel says")
	switch {
	case in.State == stateCreated:
		p.out.printf("  the agent has not been released yet\n")
		return
	case in.Kernel == nil:
		p.out.printf("  there is no process\n")
		return
	}
	rows := make([][]cell, 0, len(in.Checks))
	for _, c := range in.Checks {
		mark := cell{"ok", green}
		if !c.Agrees {
			mark = cell{"DIFFERS", red}
		}
		rows = append(rows, []cell{mark, {text: c.What}, {text: c.Kernel}, {"planned: " + c.Planned, dim}})
	}
	p.out.table("  ", rows)
}

func (p *program) showFilesystem(in *inspection) {
	abi := in.Plan.Filesystem.ABI
	if in.Enforced != nil {
		abi = in.Enforced.LandlockABI
	}
	p.out.heading("files")
	if abi == 0 {
		p.out.printf("  %s\n", p.out.paint("no Landlock: paths are not held", red))
	} else {
		p.out.printf("  Landlock ABI %d; whatever is not listed is refused (the kernel shows no process's rules:\n"+
			"  these are the ones that the ruleset was filled with)\n", abi)
	}
	skipped := map[string]string{}
	if in.Enforced != nil {
		for _, s := range in.Enforced.Skipped {
			path, why, _ := strings.Cut(s, ": ")
			skipped[path] = why
		}
	}
	var rows [][]cell
	for _, r := range in.Plan.Filesystem.Rules {
		note := cell{}
		if why := skipped[r.Path]; why != "" {
			note = cell{clean(why), dim}
		}
		rows = append(rows, []cell{{text: clean(r.Path)}, {text: string(r.Access)}, from(r.From), note})
	}
	for _, m := range in.Plan.Filesystem.ReadOnlyMounts {
		rows = append(rows, []cell{{text: clean(m.Path)}, {text: "read_only mount"}, from(m.From)})
	}
	p.out.table("  ", rows)
}

// from names the policy line of an item, or the runtime's own reason.
func from(s plan.Source) cell {
	if s.At == "" {
		return cell{clean(s.Why), dim}
	}
	return cell{text: clean(s.At) + " (" + clean(s.Why) + ")"}
}

func (p *program) showProcess(pl *plan.Plan) {
	p.out.heading("process")
	user := cells("user", fmt.Sprintf("%d:%d", pl.Process.UID, pl.Process.GID))
	p.out.table("  ", [][]cell{
		append(user, from(pl.Process.From)),
		cells("capabilities", atMost(pl.Process.Capabilities)),
		append(cells("seccomp", string(pl.Seccomp.First)+", then nemoclaw's own"), from(pl.Seccomp.From)),
	})
}

func (p *program) showNetwork(f *found) {
	p.out.heading("network")
	n := &f.plan.Network
	if n.Fence == plan.FenceAbsent {
		p.out.printf("  %s\n", p.out.paint("no fence: the host's network, as the operator's configuration allows", red))
		return
	}
	if len(n.Rules) == 0 {
		p.out.printf("  nothing may leave\n")
	}
	var rows [][]cell
	for _, r := range n.Rules {
		rows = append(rows, []cell{{text: "out"}, {text: clean(r.Name)}, {text: join(r.Hosts)}, from(r.From)})
	}
	for _, port := range n.Ingress {
		rows = append(rows, []cell{{text: "in"}, {text: fmt.Sprintf("%s %d", clean(port.Protocol), port.Port)}, {}, from(port.From)})
	}
	for _, port := range f.worldPorts() {
		rows = append(rows, []cell{{"in", yellow}, {text: fmt.Sprintf("%s %d", port.Proto, port.Container)},
			{"published to every address of this host", yellow}})
	}
	p.out.table("  ", rows)
}

func (p *program) showWeaker(pl *plan.Plan) {
	if len(pl.Weaker) > 0 {
		p.out.heading("weaker than the policy")
		var rows [][]cell
		for _, w := range pl.Weaker {
			rows = append(rows, []cell{{clean(w.What), yellow}, {text: clean(w.Why)}, {clean(w.At), dim}})
		}
		p.out.table("  ", rows)
	}
	if len(pl.Clamped) > 0 {
		p.out.heading("taken away by the ceiling")
		var rows [][]cell
		for _, c := range pl.Clamped {
			rows = append(rows, []cell{{text: clean(c.What)}, {text: clean(c.Why)}, {clean(c.At.String()), dim}})
		}
		p.out.table("  ", rows)
	}
}
