package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/sandbox"
)

// settled is when start-up is over, and out of the agent's way.
const settled = 300 * time.Millisecond

// serve answers the runtime, one connection after the other, until a request
// ends the slot.
func (b *broker) serve() error {
	go sandbox.GiveBackWhenQuiet(func() bool { return b.live.asked.Swap(false) })
	for {
		sock, err := b.control.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if b.serveOne(sock) {
			return nil
		}
	}
}

// serveOne answers one request, and reports whether it was the last. Then
// everything but the cgroup has been taken down before the answer goes out, and
// when the caller reads the end of the stream, this process is gone too.
func (b *broker) serveOne(sock *net.UnixConn) (last bool) {
	conn := sandbox.NewConn(sock)
	defer func() {
		if !last {
			conn.Close()
		}
	}()
	_ = sock.SetDeadline(time.Now().Add(sandbox.ControlTimeout))
	if rootPeer(sock) != nil {
		return false // nothing of it is read, and nothing is said
	}
	var req sandbox.Request
	files, err := conn.Receive(&req)
	if err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	reply, last, err := b.carryOut(&req, files)
	if err != nil {
		closeAll(files)
		reply = &sandbox.Reply{Error: err.Error()}
	}
	switch {
	case last:
		b.shutdown()
	case req.Verb == sandbox.VerbStart:
		time.AfterFunc(settled, sandbox.GiveBack)
	}
	_ = conn.Send(reply)
	return last
}

// rootPeer refuses everybody but root of this user namespace (unix(7)).
func rootPeer(sock *net.UnixConn) error {
	raw, err := sock.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var inner error
	err = raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, inner); err != nil {
		return fmt.Errorf("asking who calls: %w", err)
	}
	if cred.Uid != 0 {
		return fmt.Errorf("uid %d may not use the control socket", cred.Uid)
	}
	return nil
}

// carryOut does what one request asks for. It owns the files unless it fails.
func (b *broker) carryOut(req *sandbox.Request, files []*os.File) (reply *sandbox.Reply, last bool, err error) {
	reply = &sandbox.Reply{CACert: b.caCert}
	switch {
	case req.Verb == sandbox.VerbAttach && req.Attach != nil:
		return reply, false, b.attachNetns(req.Attach, files)
	case req.Verb == sandbox.VerbAdd && req.Container != nil:
		return reply, false, b.add(req.Container, files)
	}
	closeAll(files) // no other verb has any
	switch req.Verb {
	case sandbox.VerbCA:
	case sandbox.VerbStart:
		err = b.setStarted(req.ID, req.DialHere)
	case sandbox.VerbRemove:
		reply.Left = b.remove(req.ID)
		last = reply.Left == 0
	case sandbox.VerbStop:
		last = true
	case sandbox.VerbStatus:
		reply.Status = b.status()
	default:
		err = fmt.Errorf("verb %q: refused", req.Verb)
	}
	return reply, last, err
}

func (b *broker) status() *sandbox.Status {
	st := &sandbox.Status{
		BrokerPID: os.Getpid(), SupervisorPID: b.child.pid(), Restarts: b.restarts,
		Attached: b.attach != nil, Containers: append([]string{}, b.order...),
	}
	if b.attach != nil {
		st.Cookie = b.attach.Cookie
	}
	return st
}
