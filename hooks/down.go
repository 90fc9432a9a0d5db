package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// Down takes back everything that was made for the container, whatever of it
// there is, and reports all that went wrong. A second call finds nothing and
// says nothing. The container's processes are gone by now.
func (s *Sandbox) Down() error {
	if _, err := os.Lstat(s.Dir.Path()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	p, err := s.Dir.LoadPlan()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // not ours to guess at: keep it for a person to look at
	}
	e, err := s.Dir.LoadEnforced()
	if errors.Is(err, fs.ErrNotExist) {
		return s.Dir.Remove() // nothing was started yet
	}
	if err != nil {
		return err
	}
	return errors.Join(s.leave(e), s.recordEnd(p, e), s.Dir.Remove())
}

func (s *Sandbox) recordEnd(p *plan.Plan, e *sandbox.Enforced) error {
	if p == nil || e.AuditLog == "" {
		return nil // it never came so far that there was something to end
	}
	return s.record(recordDelete(p, e))
}

// leave takes the container out of its slot; the last one out ends the broker
// and the supervisor, and gives the namespace back.
func (s *Sandbox) leave(e *sandbox.Enforced) error {
	if e.Slot == "" {
		return nil
	}
	slot, err := sandbox.OpenSlot(e.Slot)
	if err != nil {
		return err
	}
	if e.Cookie == 0 {
		sandbox.SweepLocks(s.host.Config.RunDir)
		return s.abandon(slot) // never claimed: it is ours alone, or it was only joined
	}
	lock, serving, err := s.lockCookie(e.Cookie)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if serving == nil || serving.Dir != slot.Dir {
		return s.abandon(slot) // killed before the claim: the namespace is not ours to give back
	}
	reply, err := slot.Ask(&sandbox.Request{Verb: sandbox.VerbRemove, ID: s.ID})
	if err == nil && reply.Left > 0 {
		return nil
	}
	if err != nil && s.othersIn(slot) {
		return fmt.Errorf("leaving the network namespace: %w", err)
	}
	return errors.Join(lock.Release(), slot.EndProcesses(), slot.Remove())
}

// abandon ends a slot that never got a namespace. One that only was to be
// joined is another container's, and stays.
func (s *Sandbox) abandon(slot *sandbox.Slot) error {
	if s.othersIn(slot) {
		return nil
	}
	_, err := slot.Ask(&sandbox.Request{Verb: sandbox.VerbStop})
	if err != nil {
		err = nil // it did not come up, or is gone: EndProcesses makes sure
	}
	return errors.Join(err, slot.EndProcesses(), slot.Remove())
}

// othersIn reports whether another sandbox of this host uses the slot.
func (s *Sandbox) othersIn(slot *sandbox.Slot) bool {
	dirs, err := sandbox.List(s.host.Config.RunDir)
	if err != nil {
		return true // when in doubt it is in use
	}
	for _, d := range dirs {
		if d.Path() == s.Dir.Path() {
			continue
		}
		e, err := d.LoadEnforced()
		if err == nil && e.Slot == slot.Dir {
			return true
		}
	}
	return false
}
