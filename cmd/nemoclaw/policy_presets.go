package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/policy"
)

func (p *program) policyPresetsCommand() *cli.Command {
	return &cli.Command{
		Name:      "presets",
		Usage:     "list the presets, or print one",
		ArgsUsage: "[NAME]",
		Description: `Those of policy_dir/presets come before built-in ones of the same name. Presets
of package registries use the hosts that this machine's own tools are set to.`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON"}},
		Action: p.policyPresets,
	}
}

// presetLine is one line of `policy presets --json`. Fields are only ever added.
type presetLine struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Origin      string `json:"origin"` // built-in, or the file
}

func (p *program) policyPresets(c *cli.Context) error {
	if c.NArg() > 0 {
		if err := exactly(c, "NAME"); err != nil {
			return err
		}
		return p.policyPreset(c, c.Args().First())
	}
	lines, err := p.presetLines(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.out.json(lines)
	}
	rows := make([][]cell, 0, len(lines))
	for _, l := range lines {
		row := cells(l.Name, clean(l.Description))
		if l.Origin != "built-in" {
			row = append(row, cell{text: l.Origin, in: dim})
		}
		rows = append(rows, row)
	}
	p.out.table("", rows)
	return nil
}

func (p *program) presetLines(c *cli.Context) ([]presetLine, error) {
	conf, err := p.config(c)
	if err != nil {
		return nil, err
	}
	var lines []presetLine
	files, _ := filepath.Glob(filepath.Join(conf.PolicyDir, "presets", "*.yaml"))
	own := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		own[name] = true
		line := presetLine{Name: name, Origin: file}
		if doc, _, err := p.readPolicy(c, file); err != nil {
			line.Description = "broken: " + strings.SplitN(err.Error(), "\n", 2)[0]
		} else if doc.Preset != nil {
			line.Description = doc.Preset.Description
		}
		lines = append(lines, line)
	}
	for _, info := range policy.PresetNames() {
		if !own[info.Name] {
			lines = append(lines, presetLine{Name: info.Name, Description: info.Description, Origin: "built-in"})
		}
	}
	return lines, nil
}

func (p *program) policyPreset(c *cli.Context, name string) error {
	conf, err := p.config(c)
	if err != nil {
		return err
	}
	if _, err := policy.SplitNames(name); err != nil {
		return err
	}
	text, ok := policy.PresetSource(name)
	file := filepath.Join(conf.PolicyDir, "presets", name+".yaml")
	if own, readErr := os.ReadFile(file); readErr == nil {
		text, ok = own, true
	} else if !errors.Is(readErr, os.ErrNotExist) {
		return fmt.Errorf("reading a preset: %w", readErr)
	}
	if !ok {
		doc, err := policy.Preset(name, config.Registries(os.Getenv))
		if err != nil {
			return err
		}
		text = policy.Format(doc)
	}
	if c.Bool("json") {
		doc, _, err := policy.Parse(name, text)
		if err != nil {
			return err
		}
		return p.out.json(doc)
	}
	p.out.printf("%s", text)
	return nil
}
