package sandbox

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// callTimeout bounds how long Link.Call waits for its answer. The slowest
// request is a search through every process of a container.
const callTimeout = 10 * time.Second

// maxServed bounds the requests of the peer that are answered at one time;
// further ones wait in the socket.
const maxServed = 16

// ErrLinkClosed says that the process at the other end is gone.
var ErrLinkClosed = errors.New("the peer is gone")

// Handler answers one request of the peer. It owns the request's files, and
// Link closes the files that it returns once they are sent. Its error is told
// to the peer as text.
type Handler func(request *Frame, files []*os.File) (*Frame, []*os.File, error)

// Link is the broker's or the supervisor's end of the socketpair between them:
// requests and replies of both directions on one Conn. Call is safe for use by
// several goroutines.
type Link struct {
	conn   *Conn
	handle Handler

	sending sync.Mutex // one message at a time on conn

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan answer // nil once the link is closed
}

type answer struct {
	frame *Frame
	files []*os.File
}

// NewLink makes a Link of conn; Serve has to run for anything to be received.
func NewLink(conn *Conn, handle Handler) *Link {
	return &Link{conn: conn, handle: handle, waiting: make(map[uint64]chan answer)}
}

// Call sends a request with files beside it, which stay the caller's, and waits
// for the answer, whose files are the caller's to close. An answer with an
// Error is an error here.
func (l *Link) Call(request *Frame, files ...*os.File) (*Frame, []*os.File, error) {
	ch := make(chan answer, 1)
	l.mu.Lock()
	if l.waiting == nil {
		l.mu.Unlock()
		return nil, nil, fmt.Errorf("asking for %s: %w", request.Kind, ErrLinkClosed)
	}
	l.next++
	request.ID, request.Reply = l.next, false
	l.waiting[request.ID] = ch
	l.mu.Unlock()

	if err := l.send(request, files); err != nil {
		l.forget(request.ID)
		return nil, nil, err
	}
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case a, ok := <-ch:
		if !ok {
			return nil, nil, fmt.Errorf("asking for %s: %w", request.Kind, ErrLinkClosed)
		}
		if a.frame.Error != "" {
			closeAll(a.files)
			return nil, nil, fmt.Errorf("asking for %s: %s", request.Kind, a.frame.Error)
		}
		return a.frame, a.files, nil
	case <-timer.C:
		l.forget(request.ID)
		return nil, nil, fmt.Errorf("asking for %s: no answer within %s", request.Kind, callTimeout)
	}
}

// Serve receives until the peer closes its end, then closes the link. The error
// is nil at a clean end.
func (l *Link) Serve() error {
	defer l.Close()
	free := make(chan struct{}, maxServed)
	for {
		f := new(Frame)
		files, err := l.conn.Receive(f)
		if err != nil {
			return endOfStream(err)
		}
		if f.Reply {
			l.deliver(f, files)
			continue
		}
		free <- struct{}{}
		go func() {
			l.answer(f, files)
			<-free
		}()
	}
}

// Close closes the socket; every Call that waits fails.
func (l *Link) Close() error {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, ch := range waiting {
		close(ch)
	}
	return l.conn.Close()
}

func (l *Link) send(f *Frame, files []*os.File) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	return l.conn.Send(f, files...)
}

// answer runs the handler for one request. A reply that cannot be sent is
// dropped: the peer is gone, and Serve will see it.
func (l *Link) answer(request *Frame, files []*os.File) {
	reply, out, err := l.handle(request, files)
	if reply == nil {
		reply = new(Frame)
	}
	if err != nil {
		reply = &Frame{Error: err.Error()}
		if reply.Error == "" {
			reply.Error = "refused"
		}
	}
	reply.ID, reply.Kind, reply.Reply = request.ID, request.Kind, true
	_ = l.send(reply, out)
	closeAll(out)
}

// deliver hands a reply to the Call that waits for it; one that nobody waits
// for came too late.
func (l *Link) deliver(f *Frame, files []*os.File) {
	l.mu.Lock()
	ch, ok := l.waiting[f.ID]
	delete(l.waiting, f.ID)
	l.mu.Unlock()
	if !ok {
		closeAll(files)
		return
	}
	ch <- answer{f, files}
}

func (l *Link) forget(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, id)
}
