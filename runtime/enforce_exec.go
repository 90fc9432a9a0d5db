package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

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
	// The container's own labels hold: nobody can say whether another is wider.
	x.process.ApparmorProfile, x.process.SelinuxLabel = "", ""
	if err := p.Process.CheckUser(slices.Concat([]uint32{x.process.User.UID, x.process.User.GID}, x.process.User.AdditionalGids)...); err != nil {
		return err
	}
	d, err := s.Descriptors(p)
	if err != nil {
		return err
	}
	agent := *x.process
	x.process.Args = slices.Concat(wrapper(d, &x.files), agent.Args)
	return s.Join(p, &agent, d)
}
