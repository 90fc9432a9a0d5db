package hooks

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/engine"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/policy"
)

// Decide makes the plan for a container out of its bundle, the engine's record
// and this host. It changes nothing. The error of a container that is refused
// is plan.Refusals.
func (s *Sandbox) Decide(bundle string, spec *specs.Spec) (*plan.Plan, error) {
	h := s.host
	record, err := engine.Lookup(spec, s.ID, bundle)
	if err != nil {
		return nil, fmt.Errorf("reading the engine's record of the container: %w", err)
	}
	c, err := h.choose(spec, record, rootOf(bundle, spec))
	if err != nil {
		return nil, err
	}
	if c, err = h.addPresets(c, spec); err != nil {
		return nil, err
	}
	in, err := h.narrow(c)
	if err != nil {
		return nil, err
	}
	facts, err := h.facts(s.ID, bundle, spec, record, in.Effective)
	if err != nil {
		return nil, err
	}
	if err := s.findNeighbour(spec, facts); err != nil {
		return nil, err
	}
	in.Facts = *facts
	return plan.Resolve(in)
}

// narrow intersects the policy with its ceiling.
func (h *Host) narrow(c *chosen) (*plan.Input, error) {
	in := &plan.Input{Policy: c.Document, Effective: c.doc}
	ceiling, err := h.ceiling(c.Origin)
	if err != nil || ceiling == nil {
		return in, err
	}
	in.Ceiling = ceiling.Document
	var clamped []policy.Clamp
	in.Effective, clamped, err = policy.Narrow(c.doc, ceiling.doc)
	if err != nil {
		return nil, fmt.Errorf("narrowing policy %s to %s: %w", c.Name, ceiling.Name, err)
	}
	in.Clamped = clamped
	return in, nil
}
