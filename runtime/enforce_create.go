package runtime

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"github.com/opencontainers/runc/libcontainer"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/enforce/seccomp/compile"
	"github.com/nemoclaw/nemoclaw/hooks"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/runtime/specedit"
)

// sandbox names the container for package hooks.
func (e *Enforcement) sandbox(root, id string) (*hooks.Sandbox, error) {
	c, err := config.Load(e.ConfigFile)
	if err != nil {
		return nil, err
	}
	return (&hooks.Host{Config: c}).Sandbox(root, id), nil
}

// lock keeps every other runtime away from the container of that name.
func (e *Enforcement) lock(root, id string) (unlock func(), err error) {
	if e == nil {
		return func() {}, nil
	}
	s, err := e.sandbox(root, id)
	if err != nil {
		return nil, err
	}
	return s.Dir.Lock()
}

// bundleOf gives the bundle of a container of which a plan is left; "" is none.
func (e *Enforcement) bundleOf(root, id string) (string, error) {
	if e == nil {
		return "", nil
	}
	s, err := e.sandbox(root, id)
	if err != nil {
		return "", err
	}
	p, err := s.Dir.LoadPlan()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return p.Bundle, nil
}

// prepare decides what will be done for this container and edits its spec.
// Undo takes back what it has done, also after an error.
//
//	plan          every decision ends here
//	plan.json     before anything exists
//	supervisor    starts while libcontainer works; its certificate is asked for later
//	trust files   empty, so that they can be mounted
//	spec          user, capabilities, seccomp, mounts
//	stub          the program becomes nemoclaw-init, with its descriptors
func (e *Enforcement) prepare(c *creation) (err error) {
	if e == nil {
		return nil
	}
	if c.sandbox, err = e.sandbox(c.root, c.id); err != nil {
		return err
	}
	// libcontainer knows no container of this name: what lies there is the
	// rest of one that was never finished or never deleted.
	if err := c.sandbox.Down(); err != nil {
		return err
	}
	if c.plan, err = c.sandbox.Decide(c.bundle, c.spec); err != nil {
		return err
	}
	if err := c.sandbox.Dir.Make(); err != nil {
		return err
	}
	if err := c.sandbox.Dir.SavePlan(c.plan); err != nil {
		return err
	}
	if c.created.Supervisor, err = c.sandbox.Summon(c.spec, c.plan); err != nil {
		return err
	}
	if c.created.Trust, err = c.sandbox.TrustFiles(c.plan); err != nil {
		return err
	}
	editSpec(c)
	return wrap(c)
}

// editSpec writes the plan into the spec.
func editSpec(c *creation) {
	in := specedit.Inputs{}
	if c.plan.Seccomp.First == plan.BackstopProfile {
		in.DefaultSeccomp = compile.Backstop()
	}
	for _, f := range c.created.Trust {
		in.TrustMounts = append(in.TrustMounts, specedit.TrustMount{Source: f.Source, Destination: f.Destination})
	}
	specedit.Apply(c.spec, c.plan, in)
}

// wrap puts nemoclaw-init in front of the program, and of the hooks that run in
// the container.
func wrap(c *creation) error {
	d, err := c.sandbox.Descriptors(c.plan)
	if err != nil {
		return err
	}
	agent := *c.spec.Process
	c.created.Process, c.created.Descriptors = &agent, d
	w := wrapper(d, &c.files)
	c.spec.Process.Args = slices.Concat(w, agent.Args)
	c.spec.Hooks = specedit.WrapHooks(c.spec.Hooks, w)
	return nil
}

// wrapper is the one wrap for create and exec: what comes before the arguments.
func wrapper(d *hooks.Descriptors, files *inheritance) []string {
	stub, ruleset := files.add(d.Stub), "-1"
	if d.Ruleset != nil {
		ruleset = strconv.Itoa(files.add(d.Ruleset))
	}
	return specedit.Wrap(nil, strconv.Itoa(stub), ruleset, strconv.Itoa(files.add(d.Seccomp)))
}

// finish puts the fence, the supervisor and the rules in place. On an error the
// container is killed and destroyed, then undo is called.
func (e *Enforcement) finish(c *creation) error {
	if e == nil {
		return nil
	}
	c.created.PID = c.pid
	c.created.Cgroups = cgroupsOf(c.container)
	return c.sandbox.Up(c.plan, &c.created)
}

// cgroupsOf gives the directories in which the container's processes are
// listed. One hierarchy is enough, but which of v1 exists differs by machine.
func cgroupsOf(c *libcontainer.Container) []string {
	state, err := c.State()
	if err != nil {
		return nil
	}
	for _, name := range []string{"", "pids", "devices", "freezer", "memory"} {
		if dir := state.CgroupPaths[name]; dir != "" {
			return []string{dir}
		}
	}
	return slices.Sorted(maps.Values(state.CgroupPaths))
}

// undo takes back what prepare and finish did, as far as they came.
func (e *Enforcement) undo(c *creation) error {
	if e == nil || c.sandbox == nil {
		return nil
	}
	c.created.Supervisor.Settle()
	return c.sandbox.Down()
}

// release checks that everything is in place. On an error the agent never runs.
func (e *Enforcement) release(id, root string, container *libcontainer.Container) error {
	if e == nil {
		return nil
	}
	s, err := e.sandbox(root, id)
	if err != nil {
		return err
	}
	state, err := container.State()
	if err != nil {
		return err
	}
	return s.Release(state.InitProcessPid)
}

// teardown removes what is left of the container of that name; twice does no
// harm, and a container that never was is none.
func (e *Enforcement) teardown(id, root string) error {
	if e == nil {
		return nil
	}
	s, err := e.sandbox(root, id)
	if err != nil {
		return err
	}
	return s.Down()
}
