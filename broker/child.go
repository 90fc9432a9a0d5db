package broker

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nemoclaw/nemoclaw/sandbox"
)

// backoff is how long a supervisor that dies at once is left dead: network is
// back within a second of the last death.
const backoff = 200 * time.Millisecond

// child is one supervisor.
type child struct {
	proc *os.Process
	link *sandbox.Link
	says *tail
	done chan struct{} // closed when it has been reaped
	how  string        // it ended; valid after done
}

func (c *child) pid() int {
	if c == nil {
		return 0
	}
	return c.proc.Pid
}

// spawn starts a supervisor and a goroutine that reaps it.
func (b *broker) spawn() (*child, error) {
	ours, theirs, err := sandbox.Pair()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		ours.Close()
		theirs.Close()
		return nil, fmt.Errorf("making a pipe for the supervisor's last words: %w", err)
	}
	proc, err := b.cell.start([]*os.File{b.null, b.null, w, theirs})
	w.Close()
	theirs.Close()
	if err != nil {
		ours.Close()
		r.Close()
		return nil, err
	}
	c := &child{proc: proc, link: sandbox.NewLink(ours, b.answer), says: &tail{}, done: make(chan struct{})}
	heard := make(chan struct{})
	go func() {
		c.says.readFrom(r)
		close(heard)
	}()
	go func() { _ = c.link.Serve() }() // its end shows in Wait
	go func() {
		state, err := proc.Wait()
		c.link.Close()
		<-heard
		c.how = fmt.Sprint(state)
		if err != nil {
			c.how = err.Error()
		}
		close(c.done)
	}()
	return c, nil
}

// end closes the socket, which is the sign to go, and kills what does not.
func (c *child) end(grace time.Duration) {
	c.link.Close()
	if grace <= 0 {
		_ = c.proc.Kill() // every record was on disk before its bytes left
	}
	select {
	case <-c.done:
	case <-time.After(max(grace, time.Second)):
		_ = c.proc.Kill()
		<-c.done
	}
}

// startSupervisor starts one and tells it everything that the last one knew.
// On an error there is none. mu is held, or nobody else is there yet.
func (b *broker) startSupervisor() error {
	c, err := b.spawn()
	if err != nil {
		return err
	}
	b.child = c
	if err := b.brief(c); err != nil {
		c.end(time.Second)
		b.child = nil
		if last := c.says.String(); last != "" {
			err = fmt.Errorf("%w (%s)", err, last)
		}
		return err
	}
	go b.watch(c)
	return nil
}

// brief sends boot, and after a restart attach, containers and start.
func (b *broker) brief(c *child) error {
	files := append([]*os.File{b.authority, b.names}, b.roots...)
	reply, got, err := c.link.Call(&sandbox.Frame{Kind: sandbox.FrameBoot, Boot: &sandbox.Boot{
		Seccomp: b.start.SupervisorSeccomp, DNS: b.start.DNS, Restarts: b.restarts,
	}}, files...)
	closeAll(got)
	if err != nil {
		return err
	}
	if reply.Booted == nil || len(reply.Booted.CACert) == 0 {
		return fmt.Errorf("starting the supervisor: it has no certificate")
	}
	b.caCert = reply.Booted.CACert
	if b.attach == nil {
		return nil
	}
	if err := b.call(&sandbox.Frame{Kind: sandbox.FrameAttach, Attach: b.attach}, b.sockets...); err != nil {
		return err
	}
	for _, id := range b.order {
		one := b.containers[id]
		if err := b.call(&sandbox.Frame{Kind: sandbox.FrameAdd, Container: one.Container}, one.log); err != nil {
			return err
		}
	}
	if !b.started {
		return nil
	}
	return b.call(&sandbox.Frame{Kind: sandbox.FrameStart, DialHere: b.dialHere})
}

// watch waits for a supervisor's end, and starts another as often as it takes.
func (b *broker) watch(c *child) {
	<-c.done
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping || b.child != c {
		return
	}
	b.child = nil
	b.record("error", "the supervisor ended ("+c.how+"); the network is closed until the next one is up"+c.says.suffix())
	for began := time.Now(); ; {
		b.restarts++
		err := b.startSupervisor()
		if err == nil {
			b.record("ok", fmt.Sprintf("a new supervisor is up after %d ms", time.Since(began).Milliseconds()))
			return
		}
		if b.restarts%50 == 1 {
			b.record("error", "starting a new supervisor: "+err.Error())
		}
		b.mu.Unlock() // the runtime may want to take the container away
		time.Sleep(backoff)
		b.mu.Lock()
		if b.stopping || b.child != nil {
			return
		}
	}
}

// tail keeps the last words of a process.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const maxTail = 2048

func (t *tail) readFrom(r *os.File) {
	defer r.Close()
	var b [512]byte
	for {
		n, err := r.Read(b[:])
		t.mu.Lock()
		t.buf = append(t.buf, b[:n]...)
		if len(t.buf) > maxTail {
			t.buf = t.buf[len(t.buf)-maxTail:]
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

func (t *tail) suffix() string {
	if s := t.String(); s != "" {
		return ": " + s
	}
	return ""
}
