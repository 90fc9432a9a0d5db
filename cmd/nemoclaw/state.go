package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/posture"
	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/engine"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// What a sandbox is doing.
const (
	stateCreated = "created" // made, the agent not released yet
	stateRunning = "running"
	stateStopped = "stopped" // the first process has ended
	stateUnknown = "unknown" // /proc would not say
)

// found is a sandbox with all that is known of it.
type found struct {
	dir      *sandbox.Dir
	plan     *plan.Plan        // nil: not readable, see problem
	enforced *sandbox.Enforced // nil: not written yet
	kernel   *posture.Process  // nil: no process
	state    string
	engine   *engine.Record // nil: no engine's container
	problem  error
}

// sandboxes looks at all sandboxes of this host, in the order of their ids.
func sandboxes(conf *config.Config) ([]*found, error) {
	dirs, err := sandbox.List(conf.RunDir)
	if err != nil {
		return nil, asRoot(err)
	}
	all := make([]*found, 0, len(dirs))
	for _, d := range dirs {
		all = append(all, look(d))
	}
	slices.SortFunc(all, func(a, b *found) int { return cmp.Compare(a.dir.ID(), b.dir.ID()) })
	return all, nil
}

// look gathers what is known of one sandbox. It may end meanwhile.
func look(d *sandbox.Dir) *found {
	f := &found{dir: d, state: stateStopped}
	if f.plan, f.problem = d.LoadPlan(); f.problem != nil {
		f.state = stateUnknown
		return f
	}
	f.engine = engineRecord(f.plan)
	if f.enforced, f.problem = d.LoadEnforced(); f.problem != nil {
		if errors.Is(f.problem, fs.ErrNotExist) {
			f.problem = nil // being created
		}
		f.state = stateCreated
		return f
	}
	if f.enforced.InitPID == 0 {
		f.state = stateCreated
		return f
	}
	p, err := posture.Read(f.enforced.InitPID, f.enforced.InitStart)
	switch {
	case errors.Is(err, posture.ErrGone):
	case err != nil:
		f.state, f.problem = stateUnknown, err
	default:
		f.kernel, f.state = p, stateRunning
		// Until start, the first process is the runtime's own, waiting.
		if strings.HasPrefix(p.Command, "runc:[") {
			f.state = stateCreated
		}
	}
	return f
}

// pick returns the one sandbox that name means: its id, the beginning of it, or
// the engine's name for the container.
func pick(all []*found, name string) (*found, error) {
	var matches []*found
	for _, f := range all {
		if f.dir.ID() == name {
			return f, nil
		}
		if strings.HasPrefix(f.dir.ID(), name) || f.engine != nil && f.engine.Name == name {
			matches = append(matches, f)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return nil, hint(fmt.Errorf("there is no sandbox %q", clean(name)), "`nemoclaw sandboxes` lists them")
	}
	return nil, hint(fmt.Errorf("%q begins the ids of %d sandboxes", clean(name), len(matches)), "give more of the id")
}

// engineRecord asks the engine's files for the container of a plan. Nil when
// there is no record, or none that can be used: this is for show.
func engineRecord(p *plan.Plan) *engine.Record {
	f, err := os.Open(filepath.Join(p.Bundle, "config.json"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var spec specs.Spec
	if json.NewDecoder(io.LimitReader(f, engine.MaxRecord)).Decode(&spec) != nil {
		return nil
	}
	r, err := engine.Lookup(&spec, p.ID, p.Bundle)
	if err != nil {
		return nil
	}
	return r
}

// shortID is an id as people quote it: engines' ids have 64 hex digits.
func shortID(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return clean(id)
}

// worldPorts lists the ports that the engine publishes to every address.
func (f *found) worldPorts() []engine.Port {
	var open []engine.Port
	if f.engine == nil || f.engine.NetworkMode == "none" || f.engine.NetworkMode == "host" {
		return nil
	}
	for _, p := range f.engine.Published {
		if p.HostIP == "" || p.HostIP == "0.0.0.0" || p.HostIP == "::" {
			open = append(open, p)
		}
	}
	return open
}
