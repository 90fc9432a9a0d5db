package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The scripts ask `nemoclaw … --generate-bash-completion` for the words.
var (
	//go:embed completion/nemoclaw.bash
	bashCompletion string
	//go:embed completion/nemoclaw.zsh
	zshCompletion string
	//go:embed completion/nemoclaw.fish
	fishCompletion string
)

func (p *program) completionCommand() *cli.Command {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	shells := []string{"bash", "zsh", "fish"}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion script of a shell",
		ArgsUsage: strings.Join(shells, "|"),
		Description: `bash: nemoclaw completion bash > /etc/bash_completion.d/nemoclaw
zsh:  nemoclaw completion zsh > "${fpath[1]}/_nemoclaw"
fish: nemoclaw completion fish > ~/.config/fish/completions/nemoclaw.fish`,
		BashComplete: func(c *cli.Context) { fmt.Fprintln(c.App.Writer, strings.Join(shells, "\n")) },
		Action: func(c *cli.Context) error {
			if err := exactly(c, "SHELL"); err != nil {
				return err
			}
			shell := c.Args().First()
			if !slices.Contains(shells, shell) {
				return hint(fmt.Errorf("there is no completion for %q", clean(shell)), "there is for "+strings.Join(shells, ", "))
			}
			p.out.printf("%s", scripts[shell])
			return nil
		},
	}
}
