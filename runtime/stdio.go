package runtime

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"

	"github.com/containerd/console"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/utils"
)

// stdio is the parent's side of a process's standard streams. There are four
// ways, and the constructors below are named after them:
//
//	              detached                     attached
//	no terminal   the process inherits ours    pipes, copied by us
//	terminal      the caller gets the master   we hold the master and copy
//
// The zero value holds nothing and is ready to be closed.
type stdio struct {
	childEnds []io.Closer    // closed as soon as the child has them
	ourEnds   []io.Closer    // closed when the process is gone
	copies    sync.WaitGroup // output still on its way
	host      console.Console
	epoll     *console.Epoller
	master    *console.EpollConsole
	ready     chan error // one value: the master has come; nil where none will
}

// checkConsole refuses combinations of flags that leave a terminal without
// anyone at its other end.
func checkConsole(terminal, detach bool, socket string) error {
	if detach && terminal && socket == "" {
		return errors.New("cannot allocate tty if runc will detach without setting console socket")
	}
	if (!detach || !terminal) && socket != "" {
		return errors.New("cannot use console socket if runc will not detach or allocate tty")
	}
	return nil
}

// inheritStdio gives the process our own streams.
func inheritStdio(p *libcontainer.Process) *stdio {
	p.Stdin, p.Stdout, p.Stderr = os.Stdin, os.Stdout, os.Stderr
	return &stdio{}
}

// pipeStdio gives the process pipes that belong to the container's root user,
// and copies between them and our own streams.
func pipeStdio(p *libcontainer.Process, rootUID, rootGID int) (*stdio, error) {
	ours, err := p.InitializeIO(rootUID, rootGID)
	if err != nil {
		return nil, err
	}
	s := &stdio{ourEnds: []io.Closer{ours.Stdin, ours.Stdout, ours.Stderr}}
	for _, end := range []any{p.Stdin, p.Stdout, p.Stderr} {
		if c, ok := end.(io.Closer); ok {
			s.childEnds = append(s.childEnds, c)
		}
	}
	// Nobody waits for this copy: our stdin may never end.
	go func() {
		_, _ = io.Copy(ours.Stdin, os.Stdin)
		_ = ours.Stdin.Close()
	}()
	s.copyOut(os.Stdout, ours.Stdout)
	s.copyOut(os.Stderr, ours.Stderr)
	return s, nil
}

// sendConsole has the container's init send the terminal's master to the socket
// at path, where the caller listens (runc's docs/terminals.md).
func sendConsole(p *libcontainer.Process, path string) (*stdio, error) {
	sock, err := dialFile(path)
	if err != nil {
		return nil, err
	}
	p.ConsoleSocket = sock
	return &stdio{childEnds: []io.Closer{sock}}, nil
}

// ownConsole puts us between our terminal and the container's.
func ownConsole(p *libcontainer.Process) (*stdio, error) {
	host, err := hostConsole()
	if err != nil {
		return nil, err
	}
	parent, child, err := utils.NewSockPair("console")
	if err != nil {
		return nil, err
	}
	p.ConsoleSocket = child
	s := &stdio{host: host, ready: make(chan error, 1), childEnds: []io.Closer{child, parent}}
	go func() { s.ready <- s.receive(parent) }()
	return s, nil
}

// hostConsole finds the terminal that we run on: any standard stream, else the
// controlling terminal.
func hostConsole() (console.Console, error) {
	for _, f := range []*os.File{os.Stderr, os.Stdout, os.Stdin} {
		c, err := console.ConsoleFromFile(f)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, console.ErrNotAConsole) {
			return nil, fmt.Errorf("unable to get console: %w", err)
		}
	}
	f, err := os.Open("/dev/tty")
	if err != nil {
		return nil, err
	}
	c, err := console.ConsoleFromFile(f)
	if err != nil {
		return nil, fmt.Errorf("unable to get console: %w", err)
	}
	return c, nil
}

// receive takes the master from the container's init and starts copying.
func (s *stdio) receive(socket *os.File) error {
	f, err := recvFile(socket)
	if err != nil {
		return err
	}
	master, err := console.ConsoleFromFile(f)
	if err != nil {
		return err
	}
	// Our own terminal translates newlines already.
	if err := console.ClearONLCR(master.Fd()); err != nil {
		return err
	}
	s.epoll, err = console.NewEpoller()
	if err != nil {
		return err
	}
	s.master, err = s.epoll.Add(master)
	if err != nil {
		return err
	}
	s.ourEnds = append(s.ourEnds, s.master)
	go func() { _ = s.epoll.Wait() }()
	go func() { _, _ = io.Copy(s.master, os.Stdin) }()
	s.copyOut(os.Stdout, s.master)
	if err := s.host.SetRaw(); err != nil {
		return fmt.Errorf("failed to set the terminal from the stdin: %w", err)
	}
	go resetOnInterrupt(s.host)
	return nil
}

// resetOnInterrupt leaves the terminal as it was found. An interrupt can only be
// sent to us from outside: in raw mode ^C goes to the container.
func resetOnInterrupt(host console.Console) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	<-interrupts
	_ = host.Reset()
	os.Exit(0)
}

func (s *stdio) copyOut(w io.Writer, r io.ReadCloser) {
	s.copies.Go(func() {
		_, _ = io.Copy(w, r)
		_ = r.Close()
	})
}

// started waits for the terminal, where there is one to come, and lets go of
// what only the child needs.
func (s *stdio) started() error {
	var err error
	if s.ready != nil {
		err = <-s.ready
	}
	s.closeChildEnds()
	return err
}

// resize gives the container's terminal the size of ours. It does nothing
// without a terminal. Errors do not count: ours may be gone.
func (s *stdio) resize() {
	if s.master != nil && s.host != nil {
		_ = s.master.ResizeFrom(s.host)
	}
}

func (s *stdio) closeChildEnds() {
	for _, c := range s.childEnds {
		_ = c.Close()
	}
	s.childEnds = nil
}

// close waits for the last output and puts our terminal back. Twice does no harm.
func (s *stdio) close() {
	s.closeChildEnds()
	if s.master != nil && s.epoll != nil {
		_ = s.master.Shutdown(s.epoll.CloseConsole)
	}
	s.copies.Wait()
	for _, c := range s.ourEnds {
		_ = c.Close()
	}
	s.ourEnds = nil
	if s.host != nil {
		_ = s.host.Reset()
	}
}

// dialFile connects to the Unix socket at path and gives the connection as one
// file that a child can inherit.
func dialFile(path string) (*os.File, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*net.UnixConn).File()
}
