package hooks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/enforce/network"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// findNeighbour looks, where the network namespace is given by path, for a
// process in it that no supervisor of ours knows: the engine's --network
// container: of an unfenced one. A namespace that an engine or CNI made for
// this container has no process yet.
func (s *Sandbox) findNeighbour(spec *specs.Spec, f *plan.Facts) error {
	if f.Spec.Network != plan.NamespacePath {
		return nil
	}
	ns, err := os.Open(networkPath(spec))
	if err != nil {
		return fmt.Errorf("opening the network namespace: %w", err)
	}
	defer ns.Close()
	lock, slot, err := s.lockNetns(ns)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if slot != nil {
		return nil // fenced already
	}
	f.Spec.SharesUnfencedNetwork, err = processIn(ns)
	return err
}

func networkPath(spec *specs.Spec) string {
	if spec.Linux == nil {
		return ""
	}
	for _, ns := range spec.Linux.Namespaces {
		if ns.Type == specs.NetworkNamespace {
			return ns.Path
		}
	}
	return ""
}

// processIn finds a process that lives in the network namespace; 0: none.
func processIn(ns *os.File) (int, error) {
	want, err := ns.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading a network namespace: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("listing processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, err := os.Stat(filepath.Join("/proc", e.Name(), "ns/net")); err == nil && os.SameFile(st, want) {
			return pid, nil
		}
	}
	return 0, nil
}

// lockNetns takes the lock of a network namespace and says who serves it.
func (s *Sandbox) lockNetns(ns *os.File) (*sandbox.Netns, *sandbox.Slot, error) {
	cookie, err := network.Cookie(ns)
	if err != nil {
		return nil, nil, err
	}
	return s.lockCookie(cookie)
}

func (s *Sandbox) lockCookie(cookie uint64) (*sandbox.Netns, *sandbox.Slot, error) {
	lock, err := sandbox.LockNetns(s.host.Config.RunDir, cookie)
	if err != nil {
		return nil, nil, err
	}
	slot, err := lock.Slot()
	if err != nil {
		lock.Unlock()
		return nil, nil, err
	}
	return lock, slot, nil
}

// fence closes the namespace of the process pid and hands its sockets to the
// slot's broker. The namespace's lock is held by the caller.
func (s *Sandbox) fence(ns *os.File, cookie uint64, slot *sandbox.Slot, p *plan.Plan) error {
	if err := network.LoopbackUp(ns); err != nil {
		return err
	}
	listeners, err := network.Listen(ns)
	if err != nil {
		return err
	}
	defer listeners.Close()
	fence := network.Fence{Ports: listeners.Ports, Mark: Mark}
	for _, port := range p.Network.Ingress {
		fence.IngressTCP = append(fence.IngressTCP, port.Port)
	}
	if err := network.Apply(ns, fence); err != nil {
		return err
	}
	attach := &sandbox.Attach{Cookie: cookie}
	var files []*os.File
	for _, sock := range listeners.Sockets {
		attach.Sockets = append(attach.Sockets, sandbox.SocketKind(sock.Kind))
		files = append(files, sock.File)
	}
	attach.Sockets = append(attach.Sockets, sandbox.SocketNetns)
	files = append(files, ns)
	_, err = slot.Ask(&sandbox.Request{Verb: sandbox.VerbAttach, Attach: attach}, files...)
	return err
}

// Release is the last step before the agent runs: it says where upstream
// connections are made from, and gives a namespace without an interface of its
// own something to route to, so that there is something to redirect.
func (s *Sandbox) Release(pid int) error {
	p, err := s.Dir.LoadPlan()
	if err != nil {
		return err
	}
	e, err := s.Dir.LoadEnforced()
	if err != nil {
		return err
	}
	if !e.Complete {
		return errUnfinished
	}
	if p.Network.Policed {
		if err := s.releaseNetwork(pid, e); err != nil {
			return err
		}
	}
	return s.record(recordStart(p, e))
}

func (s *Sandbox) releaseNetwork(pid int, e *sandbox.Enforced) error {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return fmt.Errorf("opening the container's network namespace: %w", err)
	}
	defer ns.Close()
	cookie, err := network.Cookie(ns)
	if err != nil {
		return err
	}
	if cookie != e.Cookie {
		return errors.New("releasing the agent: its network namespace is not the one that was fenced")
	}
	alone, err := network.AddLoopbackRoutes(ns)
	if err != nil {
		return err
	}
	slot, err := sandbox.OpenSlot(e.Slot)
	if err != nil {
		return err
	}
	_, err = slot.Ask(&sandbox.Request{Verb: sandbox.VerbStart, ID: s.ID, DialHere: !alone})
	return err
}
