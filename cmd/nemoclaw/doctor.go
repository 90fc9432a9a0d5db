package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/dockerd"
	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/doctor"
)

func (p *program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "say what this kernel and engine can enforce",
		Description: `The exit status is 1 when something that every sandbox needs is missing. Run it as
root: some things can only be tried so. Nothing is changed.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.StringFlag{Name: "daemon-json", Value: dockerd.DefaultFile, Usage: "the engine's configuration `FILE`"},
			&cli.StringFlag{Name: "socket", Value: dockerd.DefaultSocket, Usage: "the engine's `SOCKET`, unless its configuration names one"},
		},
		Action: p.doctor,
	}
}

// report is `doctor --json`. Fields are only ever added.
type diagnosis struct {
	Healthy  bool             `json:"healthy"`
	Findings []doctor.Finding `json:"findings"`
}

func (p *program) doctor(c *cli.Context) error {
	if err := exactly(c); err != nil {
		return err
	}
	conf, confErr := p.config(c)
	runtime, _ := runtimePath("") // "" is a finding of its own
	all := doctor.Kernel()
	all = append(all, doctor.Host(conf, confErr)...)
	all = append(all, doctor.Programs(conf, runtime, version, commit)...)
	eng := doctor.Engine{DaemonJSON: c.String("daemon-json"), Socket: c.String("socket"), RuntimeName: runtimeName, RuntimePath: runtime}
	if file, err := dockerd.ReadFile(eng.DaemonJSON); err == nil {
		_, eng.Socket = engineAddresses(c, file.Text)
	}
	all = append(all, eng.Findings(c.Context)...)
	if conf != nil {
		found, err := sandboxes(conf)
		all = append(all, sandboxFindings(found, err)...)
	}
	d := diagnosis{Healthy: doctor.Healthy(all), Findings: all}
	for i := range d.Findings {
		d.Findings[i].What = clean(d.Findings[i].What)
	}
	if c.Bool("json") {
		if err := p.out.json(d); err != nil {
			return err
		}
	} else {
		p.showDiagnosis(&d)
	}
	if !d.Healthy {
		return errUnwell
	}
	return nil
}

// sandboxFindings warns of what is wrong with sandboxes that are there.
func sandboxFindings(all []*found, err error) []doctor.Finding {
	const area = "sandboxes"
	if err != nil {
		return []doctor.Finding{{Area: area, Name: "state", Level: doctor.Warn, What: err.Error(), Fix: "run `nemoclaw doctor` as root"}}
	}
	out := []doctor.Finding{{Area: area, Name: "state", Level: doctor.Note, What: plural(len(all), "sandbox", "sandboxes")}}
	for _, f := range all {
		name := shortID(f.dir.ID())
		for _, port := range f.worldPorts() {
			out = append(out, doctor.Finding{Area: area, Name: name, Level: doctor.Warn,
				What: fmt.Sprintf("port %d/%s of the agent is published to the world: whoever reaches this host reaches the agent", port.Container, port.Proto),
				Fix:  fmt.Sprintf("publish it to this host alone: -p 127.0.0.1:%s%d", hostPort(port.Host), port.Container)})
		}
		if f.problem != nil {
			out = append(out, doctor.Finding{Area: area, Name: name, Level: doctor.Warn, What: f.problem.Error()})
		}
		if f.state == stateRunning {
			for _, check := range compare(f.plan, f.kernel) {
				if !check.Agrees {
					out = append(out, doctor.Finding{Area: area, Name: name, Level: doctor.Fail,
						What: fmt.Sprintf("%s: planned %s, the kernel says %s", check.What, check.Planned, check.Kernel),
						Fix:  "nemoclaw inspect " + name})
				}
			}
		}
	}
	return out
}

func hostPort(port uint16) string {
	if port == 0 {
		return ""
	}
	return fmt.Sprintf("%d:", port)
}

func (p *program) showDiagnosis(d *diagnosis) {
	area := ""
	var rows [][]cell
	flush := func() {
		p.out.table("  ", rows)
		rows = nil
	}
	for _, f := range d.Findings {
		if f.Area != area {
			flush()
			area = f.Area
			p.out.heading(area)
		}
		rows = append(rows, []cell{{string(f.Level), levelStyle(f.Level)}, {text: f.Name}, {text: f.What}})
		if f.Fix != "" && f.Level != doctor.OK {
			rows = append(rows, []cell{{}, {}, {"→ " + f.Fix, dim}})
		}
	}
	flush()
	if d.Healthy {
		p.out.printf("%s\n", p.out.paint("this host can hold agents", green))
		return
	}
	p.out.printf("%s\n", p.out.paint("this host can not hold agents as their policies say; see what failed above", red))
}

func levelStyle(l doctor.Level) style {
	switch l {
	case doctor.OK:
		return green
	case doctor.Warn:
		return yellow
	case doctor.Fail:
		return red
	}
	return dim
}
