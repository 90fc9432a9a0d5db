package hooks

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/enforce/network"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// Created is a container that waits at its exec fifo, and what goes with it.
type Created struct {
	PID         int
	Cgroups     []string
	Process     *specs.Process // as the agent will run: without the stub
	Supervisor  *Supervisor
	Trust       []TrustFile
	Descriptors *Descriptors
}

// errUnfinished says that a create was killed before all of the plan was in place.
var errUnfinished = errors.New("the container was never finished: delete it")

// Up carries the plan out on a created container, in this order:
//
//	trust files      the certificate is known only now
//	fence            nothing may leave before there is somebody to decide
//	container        the supervisor learns its policy and its log
//	read-only mounts before the ruleset: rules are of what lies on top
//	ruleset          after it, nothing more is added
//	program          whether the rules let it execute
//	record           what was achieved
func (s *Sandbox) Up(p *plan.Plan, c *Created) error {
	e := &sandbox.Enforced{
		InitPID: c.PID, LandlockABI: p.Filesystem.ABI, AuditLog: audit.Path(s.host.Config.LogDir, s.ID),
	}
	var err error
	if e.InitStart, err = startTime(c.PID); err != nil {
		return err
	}
	if c.Supervisor != nil {
		if err := s.police(p, c, e); err != nil {
			return err
		}
	}
	if err := s.restrict(p, c, e); err != nil {
		return err
	}
	e.Complete = true
	if err := s.Dir.SaveEnforced(e); err != nil {
		return err
	}
	return s.record(recordCreate(p, e))
}

// police puts the network under the supervisor.
func (s *Sandbox) police(p *plan.Plan, c *Created, e *sandbox.Enforced) error {
	cert, err := c.Supervisor.Certificate()
	if err != nil {
		return err
	}
	if err := fillTrust(c.Trust, cert); err != nil {
		return err
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.PID))
	if err != nil {
		return fmt.Errorf("opening the container's network namespace: %w", err)
	}
	defer ns.Close()
	if e.Cookie, err = network.Cookie(ns); err != nil {
		return err
	}
	lock, slot, err := s.lockCookie(e.Cookie)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	e.Slot = c.Supervisor.Slot.Dir
	if slot != nil && slot.Dir != e.Slot || slot == nil && c.Supervisor.Joined {
		return errors.New("fencing the network namespace: another container has changed who serves it meanwhile; try again")
	}
	// From here on teardown must find the claim, and the container at the broker.
	if err := s.Dir.SaveEnforced(e); err != nil {
		return err
	}
	if slot == nil {
		if err := lock.Claim(c.Supervisor.Slot); err != nil {
			return err
		}
		if err := s.fence(ns, e.Cookie, c.Supervisor.Slot, p); err != nil {
			return err
		}
	}
	return s.admit(p, c, e)
}

// admit tells the supervisor of the container.
func (s *Sandbox) admit(p *plan.Plan, c *Created, e *sandbox.Enforced) error {
	log, err := audit.OpenFile(e.AuditLog)
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = c.Supervisor.Slot.Ask(&sandbox.Request{Verb: sandbox.VerbAdd, Container: &sandbox.Container{
		ID: s.ID, Policy: p.Effective, PolicyDigest: p.Policy.Digest, Cgroups: c.Cgroups, InitPID: c.PID,
	}}, log)
	return err
}

// restrict puts the file system under the plan.
func (s *Sandbox) restrict(p *plan.Plan, c *Created, e *sandbox.Enforced) error {
	return inMountNamespace(c.PID, func(root *rootDir) error {
		places, missing, err := locate(root, p.Filesystem.Rules)
		if err != nil {
			return err
		}
		if err := mountBoundaries(root, places, p.Filesystem.ReadOnlyRoot); err != nil {
			return err
		}
		e.Skipped = missing
		if c.Descriptors.Ruleset != nil {
			rules, skipped, err := fill(c.Descriptors.Ruleset, root, places, p.Filesystem.ABI)
			if err != nil {
				return err
			}
			e.Rules, e.Skipped = rules, append(missing, skipped...)
		}
		return checkProgram(root, c.Process, e.Rules)
	})
}

// Join prepares a process that joins a running container: its ruleset is
// filled here, because nothing holds it back once it is started.
func (s *Sandbox) Join(p *plan.Plan, proc *specs.Process, d *Descriptors) error {
	e, err := s.Dir.LoadEnforced()
	if err != nil {
		return err
	}
	if !e.Complete {
		return errUnfinished
	}
	if start, err := startTime(e.InitPID); err != nil || start != e.InitStart {
		return errors.New("joining the container: its first process is gone")
	}
	var dropped []string
	if d.Ruleset != nil {
		if dropped, err = refill(d.Ruleset, e.InitPID, e); err != nil {
			return err
		}
	}
	err = inMountNamespace(e.InitPID, func(root *rootDir) error { return checkProgram(root, proc, e.Rules) })
	if err != nil {
		return err
	}
	return s.record(recordExec(p, e, proc, dropped))
}
