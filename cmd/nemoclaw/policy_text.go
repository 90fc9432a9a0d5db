package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/nemoclaw/nemoclaw/policy"
)

func (p *program) policySchemaCommand() *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "print the JSON Schema of policies, for editors",
		Description: `An editor with a YAML language server checks a policy whose first line is

    # yaml-language-server: $schema=FILE`,
		Action: func(c *cli.Context) error {
			if err := exactly(c); err != nil {
				return err
			}
			p.out.printf("%s", policy.Schema())
			return nil
		},
	}
}

func (p *program) policyFmtCommand() *cli.Command {
	return &cli.Command{
		Name:      "fmt",
		Usage:     "format policies, comments kept",
		ArgsUsage: "FILE...",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "write", Aliases: []string{"w"}, Usage: "write the files instead of printing"},
			&cli.BoolFlag{Name: "check", Usage: "print the names of files that would change; exit status 1 if there is one"},
		},
		Action: p.policyFmt,
	}
}

func (p *program) policyFmt(c *cli.Context) error {
	if c.NArg() == 0 {
		return usageError(c, errors.New("FILE is missing"), true)
	}
	differs := false
	for _, name := range c.Args().Slice() {
		before, shown, err := p.policyText(c, name)
		if err != nil {
			return err
		}
		after, err := policy.FormatSource(shown, before)
		if err != nil {
			return err
		}
		changed := !bytes.Equal(before, after)
		differs = differs || changed
		switch {
		case c.Bool("check"):
			if changed {
				p.out.printf("%s\n", shown)
			}
		case !c.Bool("write"):
			p.out.printf("%s", after)
		case changed:
			if err := replaceFile(shown, after); err != nil {
				return err
			}
		}
	}
	if c.Bool("check") && differs {
		return errUnwell
	}
	return nil
}

// replaceFile writes beside the file and renames, so that a crash leaves the
// old text.
func replaceFile(name string, data []byte) error {
	st, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	temporary := name + ".new"
	if err := os.WriteFile(temporary, data, st.Mode().Perm()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(temporary, name); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (p *program) policySignCommand() *cli.Command {
	return &cli.Command{
		Name:      "sign",
		Usage:     "sign a policy with an Ed25519 key, as a DSSE envelope on stdout",
		ArgsUsage: "FILE",
		Description: `A key: openssl genpkey -algorithm ed25519 -out key.pem
Its public half: openssl pkey -in key.pem -pubout -out key.pub

The counter must grow: a host that has seen one refuses a lower one.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "key", Required: true, Usage: "private key, PEM `FILE`"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the policy; counters of different names are apart"},
			&cli.Uint64Flag{Name: "counter", Required: true, Usage: "`NUMBER`, higher than that of every earlier signature"},
		},
		Action: func(c *cli.Context) error {
			if err := exactly(c, "FILE"); err != nil {
				return bad(err)
			}
			return bad(p.policySign(c))
		},
	}
}

func (p *program) policySign(c *cli.Context) error {
	text, _, err := p.policyText(c, c.Args().First())
	if err != nil {
		return err
	}
	pem, err := readBounded(c.String("key"))
	if err != nil {
		return err
	}
	key, err := policy.ParsePrivateKey(pem)
	if err != nil {
		return err
	}
	data, err := policy.Sign(text, c.String("name"), c.Uint64("counter"), key)
	if err != nil {
		return err
	}
	p.out.printf("%s", data)
	return nil
}

func (p *program) policyVerifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check a signed policy; exit status 1 if no trusted key signed it",
		ArgsUsage: "ENVELOPE",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "key", Required: true, Usage: "trusted public key, PEM `FILE`; may be repeated"},
			&cli.Uint64Flag{Name: "counter", Usage: "refuse a counter below `NUMBER`"},
			&cli.BoolFlag{Name: "text", Usage: "print the policy"},
		},
		Action: p.policyVerify,
	}
}

func (p *program) policyVerify(c *cli.Context) error {
	if err := exactly(c, "ENVELOPE"); err != nil {
		return bad(err)
	}
	data, _, err := p.policyText(c, c.Args().First())
	if err != nil {
		return bad(err)
	}
	var keys []ed25519.PublicKey
	for _, name := range c.StringSlice("key") {
		pem, err := readBounded(name)
		if err != nil {
			return bad(err)
		}
		key, err := policy.ParsePublicKey(pem)
		if err != nil {
			return bad(fmt.Errorf("%s: %w", name, err))
		}
		keys = append(keys, key)
	}
	signed, err := policy.Verify(data, keys, c.Uint64("counter"))
	if err != nil {
		return err
	}
	if c.Bool("text") {
		p.out.printf("%s", signed.Text)
		return nil
	}
	p.out.printf("%s  by key %s, counter %d\n", p.out.paint("verified", green), signed.KeyID, signed.Counter)
	return nil
}
