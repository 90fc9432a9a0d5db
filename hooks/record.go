package hooks

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// record writes a lifecycle event into the container's log.
func (s *Sandbox) record(e *audit.Event) error {
	e.Sandbox = s.ID
	sink, err := audit.Open(audit.Path(s.host.Config.LogDir, s.ID))
	if err != nil {
		return err
	}
	defer sink.Close()
	return sink.Write(e)
}

func recordCreate(p *plan.Plan, e *sandbox.Enforced) *audit.Event {
	ev := lifecycle(audit.KindCreate, p, e)
	for _, w := range p.Weaker {
		ev.Weaker = append(ev.Weaker, w.What+": "+w.Why)
	}
	ev.Weaker = append(ev.Weaker, e.Skipped...)
	ev.Message = fmt.Sprintf("policy %s (%s), %d path rules, %d network rules",
		p.Policy.Name, p.Policy.Origin, len(e.Rules), len(p.Network.Rules))
	return ev
}

func recordStart(p *plan.Plan, e *sandbox.Enforced) *audit.Event {
	return lifecycle(audit.KindStart, p, e)
}

func recordExec(p *plan.Plan, e *sandbox.Enforced, proc *specs.Process, dropped []string) *audit.Event {
	ev := lifecycle(audit.KindExec, p, e)
	ev.Binary = proc.Args[0]
	for _, path := range dropped {
		ev.Weaker = append(ev.Weaker, path+": changed since create, rule dropped for this process")
	}
	return ev
}

func recordDelete(p *plan.Plan, e *sandbox.Enforced) *audit.Event {
	return lifecycle(audit.KindDelete, p, e)
}

func lifecycle(kind audit.Kind, p *plan.Plan, e *sandbox.Enforced) *audit.Event {
	return &audit.Event{Kind: kind, Verdict: "ok", Policy: p.Policy.Digest, At: p.Policy.Name, ABI: e.LandlockABI, PID: e.InitPID}
}

// startTime is when a process began, in clock ticks since boot: with it a pid
// names one process only (proc_pid_stat(5), field 22).
func startTime(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading when process %d began: %w", pid, err)
	}
	// The second field is the command in parentheses and may hold anything, so
	// the rest begins after the last one.
	const startField = 22 - 3 // fields count from 1, and the rest begins with the third
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= startField {
		return 0, fmt.Errorf("reading when process %d began: %q", pid, bounded(string(text)))
	}
	return strconv.ParseUint(fields[startField], 10, 64)
}
