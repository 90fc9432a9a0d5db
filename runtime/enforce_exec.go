package runtime

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/nemoclaw/nemoclaw/runtime/specedit"
)

// exec puts the process under the container's plan: the same wrap as create,
// with a ruleset of its own.
func (e *Enforcement) exec(x *execution) error {
	if e == nil {
		return nil
	}
	s, err := e.sandbox(x.root, x.id)
	if err != nil {
		return err
	}
	p, err := s.Dir.LoadPlan()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("joining container %s: it has no plan, so nothing would hold the process; a container made with --no-policy is joined with --no-policy", x.id)
	}
	if err != nil {
		return err
	}
	specedit.ApplyProcess(x.process, p)
	specedit.ApplyUser(x.process, p)
	d, err := s.Descriptors(p)
	if err != nil {
		return err
	}
	agent := *x.process
	x.process.Args = wrapped(agent.Args, d, &x.files)
	return s.Join(p, &agent, d)
}
