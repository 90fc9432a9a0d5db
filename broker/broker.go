package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// broker is one slot's state. mu is held during every request of the runtime
// and during every restart of the supervisor: neither sees the other half done.
type broker struct {
	slot  *sandbox.Slot
	start *sandbox.Start
	cell  *cell
	find  finder

	control   *net.UnixListener
	null      *os.File
	authority *os.File   // memfd: the supervisor's CA, which the broker never reads
	names     *os.File   // memfd: the names that have an address
	roots     []*os.File // root certificates for upstream servers
	caCert    []byte

	mu         sync.Mutex
	child      *child // nil: down
	restarts   int
	stopping   bool
	attach     *sandbox.Attach // what the supervisor gets of it: without the netns
	sockets    []*os.File
	containers map[string]*container
	order      []string // container ids, as they came
	started    bool
	dialHere   bool

	// What the supervisor's questions need is under a lock of its own: they come
	// while mu is held.
	live struct {
		sync.Mutex
		asked      atomic.Bool // since somebody last looked
		outpost    *outpost
		containers []*sandbox.Container
	}
}

// container is one that has been added, with its audit log.
type container struct {
	*sandbox.Container
	log *os.File
}

// answer serves the supervisor's questions.
func (b *broker) answer(f *sandbox.Frame, files []*os.File) (*sandbox.Frame, []*os.File, error) {
	closeAll(files)
	b.live.asked.Store(true)
	b.live.Lock()
	outpost, containers := b.live.outpost, b.live.containers
	b.live.Unlock()
	switch {
	case f.Kind == sandbox.FrameWho && f.Who != nil:
		holders, err := b.find.find(*f.Who, containers)
		return &sandbox.Frame{Holders: holders}, nil, err
	case f.Kind == sandbox.FrameSocket && outpost != nil:
		s, err := outpost.socket(f.Socket)
		if err != nil {
			return nil, nil, err
		}
		return &sandbox.Frame{}, []*os.File{s}, nil
	}
	return nil, nil, fmt.Errorf("%s: refused", f.Kind)
}

// attachNetns takes the sockets of the namespace, keeps them, and hands them on.
func (b *broker) attachNetns(a *sandbox.Attach, files []*os.File) error {
	if b.attach != nil || len(files) != len(a.Sockets) {
		return fmt.Errorf("attaching %d descriptors for %d sockets, once a slot: refused", len(files), len(a.Sockets))
	}
	i := slices.Index(a.Sockets, sandbox.SocketNetns)
	if i < 0 {
		return errors.New("attaching sockets: the network namespace is missing")
	}
	out, err := newOutpost(files[i], b.start.Mark)
	if err != nil {
		return err
	}
	passed := &sandbox.Attach{Cookie: a.Cookie}
	var sockets []*os.File
	for j, f := range files {
		if j == i {
			f.Close() // the thread in it keeps the namespace
			continue
		}
		passed.Sockets = append(passed.Sockets, a.Sockets[j])
		sockets = append(sockets, f)
	}
	b.attach, b.sockets = passed, sockets
	b.live.Lock()
	b.live.outpost = out
	b.live.Unlock()
	if err := b.call(&sandbox.Frame{Kind: sandbox.FrameAttach, Attach: passed}, sockets...); err != nil {
		b.attach, b.sockets = nil, nil
		return err
	}
	return nil
}

// add takes a container and its log.
func (b *broker) add(c *sandbox.Container, files []*os.File) error {
	if b.attach == nil || len(files) != 1 || c.ID == "" || c.Policy == nil {
		return fmt.Errorf("adding container %q with %d descriptors: refused", c.ID, len(files))
	}
	if b.containers[c.ID] != nil {
		return fmt.Errorf("adding container %q: it is here already", c.ID)
	}
	// Before the supervisor knows it: its first connection may come at once.
	b.containers[c.ID] = &container{c, files[0]}
	b.order = append(b.order, c.ID)
	b.publish()
	if err := b.call(&sandbox.Frame{Kind: sandbox.FrameAdd, Container: c}, files[0]); err != nil {
		b.forget(c.ID)
		return err
	}
	return nil
}

// forget closes a container's log and drops it.
func (b *broker) forget(id string) {
	if c := b.containers[id]; c != nil {
		c.log.Close()
	}
	delete(b.containers, id)
	b.order = slices.DeleteFunc(b.order, func(s string) bool { return s == id })
	b.publish()
}

// publish makes the containers known to the search for holders.
func (b *broker) publish() {
	var list []*sandbox.Container
	for _, id := range b.order {
		c := *b.containers[id].Container
		c.Policy = nil // the search needs none
		list = append(list, &c)
	}
	b.live.Lock()
	defer b.live.Unlock()
	b.live.containers = list
}

func (b *broker) setStarted(id string, here bool) error {
	if b.containers[id] == nil {
		return fmt.Errorf("starting container %q: it is not here", id)
	}
	b.dialHere = b.dialHere || here
	b.started = true
	return b.call(&sandbox.Frame{Kind: sandbox.FrameStart, DialHere: b.dialHere})
}

// remove takes a container out, and reports how many are left. One that is not
// here is no error.
func (b *broker) remove(id string) int {
	if b.containers[id] != nil {
		if len(b.containers) > 1 { // else the supervisor ends at once
			// A supervisor that is down has forgotten it already.
			_ = b.call(&sandbox.Frame{Kind: sandbox.FrameRemove, ContainerID: id})
		}
		b.forget(id)
	}
	return len(b.containers)
}

// call asks the supervisor for something.
func (b *broker) call(f *sandbox.Frame, files ...*os.File) error {
	if b.child == nil {
		return errors.New("the supervisor is down")
	}
	_, got, err := b.child.link.Call(f, files...)
	closeAll(got)
	return err
}

// record writes a word about the supervisor into every container's log.
func (b *broker) record(verdict, message string) {
	for _, id := range b.order {
		sink, err := audit.New(b.containers[id].log)
		if err != nil {
			continue
		}
		_ = sink.Write(&audit.Event{Kind: audit.KindSupervisor, Sandbox: id, Verdict: verdict, Message: message})
	}
}

// shutdown ends the supervisor and removes what start-up made, but for the
// cgroup that this process is in: whoever reads the answer removes that
// (sandbox.Slot.EndProcesses). Twice is once.
func (b *broker) shutdown() {
	b.stopping = true
	if b.child != nil {
		b.child.end(0)
		b.child = nil
	}
	if b.control != nil {
		b.control.Close()
		_ = os.Remove(b.slot.ControlSocket()) // the runtime removes the directory, whatever is in it
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
