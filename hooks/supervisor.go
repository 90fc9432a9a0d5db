package hooks

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp/compile"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// startTimeout bounds how long a broker may take to have its supervisor ready.
const startTimeout = 10 * time.Second

// Supervisor is a broker and its supervisor: one that was started for this
// container, or one that serves its namespace already.
type Supervisor struct {
	Slot *sandbox.Slot
	// Joined says that it was there before.
	Joined bool
	// started gets the answer of a new broker.
	started chan startResult
}

type startResult struct {
	cert []byte
	err  error
}

// Summon finds the supervisor of the container's namespace or starts one, and
// does not wait for it: Certificate does. The slot is written down first, so
// that delete finds it whatever happens.
func (s *Sandbox) Summon(spec *specs.Spec, p *plan.Plan) (*Supervisor, error) {
	if !p.Network.Policed {
		return nil, s.Dir.SaveEnforced(&sandbox.Enforced{LandlockABI: p.Filesystem.ABI})
	}
	slot, err := s.serving(spec, p)
	if err != nil {
		return nil, err
	}
	sup := &Supervisor{Slot: slot, Joined: slot != nil, started: make(chan startResult, 1)}
	note := func(dir string) error {
		return s.Dir.SaveEnforced(&sandbox.Enforced{Slot: dir, LandlockABI: p.Filesystem.ABI})
	}
	if sup.Joined {
		err = note(slot.Dir)
	} else {
		sup.Slot, err = sandbox.NewSlot(s.host.Config.RunDir, s.host.slots(), note)
	}
	if err != nil {
		return nil, err
	}
	go func() { sup.started <- s.bring(sup) }()
	return sup, nil
}

// serving returns the slot that serves a namespace given by path; nil: none.
func (s *Sandbox) serving(spec *specs.Spec, p *plan.Plan) (*sandbox.Slot, error) {
	if p.Network.Fence != plan.FenceJoin {
		return nil, nil
	}
	ns, err := os.Open(networkPath(spec))
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace: %w", err)
	}
	defer ns.Close()
	lock, slot, err := s.lockNetns(ns)
	if err != nil {
		return nil, err
	}
	lock.Unlock()
	return slot, nil
}

// bring gets the certificate of a supervisor that is there, or starts one.
func (s *Sandbox) bring(sup *Supervisor) startResult {
	if sup.Joined {
		reply, err := sup.Slot.Ask(&sandbox.Request{Verb: sandbox.VerbCA})
		if err != nil {
			return startResult{err: err}
		}
		return startResult{cert: reply.CACert}
	}
	cert, err := s.startBroker(sup.Slot)
	return startResult{cert, err}
}

// Certificate waits for the supervisor and gives its authority's certificate.
func (u *Supervisor) Certificate() ([]byte, error) {
	r := <-u.started
	u.started <- r // for whoever asks again
	return r.cert, r.err
}

// Settle waits until the start is over, well or badly. Teardown calls it first:
// a broker that is still on its way would make its cgroup after that was removed.
func (u *Supervisor) Settle() {
	if u != nil {
		_, _ = u.Certificate()
	}
}

// startBroker starts a broker with nothing of ours but the start-up socket: no
// environment, no descriptors (a pipe of create held open hangs docker run), a
// session of its own.
func (s *Sandbox) startBroker(slot *sandbox.Slot) ([]byte, error) {
	start, err := s.startMessage(slot)
	if err != nil {
		return nil, err
	}
	broker, err := s.host.Config.Helper("nemoclaw-broker")
	if err != nil {
		return nil, err
	}
	conn, theirs, err := sandbox.Pair()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	cmd := exec.Command(broker)
	cmd.Args = []string{"nemoclaw-broker"}
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// What an engine or a shell has left open in us must not live on in the
	// helpers; everything that is handed to a child goes by name.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("marking our descriptors: %w", err)
	}
	err = cmd.Start() // nil Stdin, Stdout, Stderr: /dev/null
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	cert, err := greet(conn, start)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, err
	}
	return cert, cmd.Process.Release()
}

func greet(conn *sandbox.Conn, start *sandbox.Start) ([]byte, error) {
	if err := conn.Socket().SetDeadline(time.Now().Add(startTimeout)); err != nil {
		return nil, fmt.Errorf("starting the broker: %w", err)
	}
	if err := conn.Send(start); err != nil {
		return nil, err
	}
	var started sandbox.Started
	if _, err := conn.Receive(&started); err != nil {
		return nil, fmt.Errorf("waiting for the supervisor to start: %w", err)
	}
	if started.Error != "" {
		return nil, fmt.Errorf("starting the supervisor: %s", started.Error)
	}
	if len(started.CACert) == 0 {
		return nil, errors.New("starting the supervisor: it gave no certificate")
	}
	return started.CACert, nil
}

func (s *Sandbox) startMessage(slot *sandbox.Slot) (*sandbox.Start, error) {
	c := s.host.Config
	program, err := c.Helper("nemoclaw-supervisor")
	if err != nil {
		return nil, err
	}
	supervisor, err := compile.Supervisor()
	if err != nil {
		return nil, err
	}
	broker, err := compile.Broker()
	if err != nil {
		return nil, err
	}
	start := &sandbox.Start{
		SlotDir: slot.Dir, Supervisor: program, UID: c.UIDBase + slot.Number, Mark: Mark,
		SupervisorSeccomp: supervisor, BrokerSeccomp: broker,
		DNS: sandbox.DNS{Pool: c.DNS.Pool}, UpstreamCAFile: c.TLS.UpstreamCAFile,
	}
	for _, server := range c.DNS.Servers {
		start.DNS.Servers = append(start.DNS.Servers, server.String())
	}
	return start, nil
}
