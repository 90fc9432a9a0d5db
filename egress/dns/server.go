package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxPending bounds the queries, and the TCP connections, of one socket
	// that are worked on at one time. Further datagrams are dropped, and
	// clients ask again; further connections wait.
	maxPending = 64
	// tcpIdle is how long a TCP connection may be without a query.
	tcpIdle = 10 * time.Second
)

// Peer is who asks: the near end of its socket.
type Peer struct {
	Addr   netip.AddrPort
	Stream *net.TCPConn // the connection asked on; nil for a datagram
}

// Decider says what to answer. It is called from several goroutines. The name
// is canonical, and never empty.
type Decider func(ctx context.Context, name, qtype string, from Peer) Outcome

// ServeUDP answers the datagrams of a socket until it is closed.
func ServeUDP(ctx context.Context, sock *net.UDPConn, decide Decider) error {
	buf := make([]byte, MaxQuery+1)
	pending := make(chan struct{}, maxPending)
	for {
		n, from, err := sock.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(time.Millisecond) // an ICMP error of an earlier reply
			continue
		}
		q, ok := Parse(buf[:n])
		if !ok {
			continue
		}
		select {
		case pending <- struct{}{}:
		default:
			continue
		}
		go func() {
			defer func() { <-pending }()
			if msg := answer(ctx, &q, Peer{Addr: from}, decide); msg != nil {
				_, _ = sock.WriteToUDPAddrPort(msg, from) // it will ask again
			}
		}()
	}
}

// ServeTCP answers the connections of a listener until it is closed (RFC 7766).
func ServeTCP(ctx context.Context, l *net.TCPListener, decide Decider) error {
	pending := make(chan struct{}, maxPending)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		pending <- struct{}{}
		c, err := l.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			<-pending
			time.Sleep(10 * time.Millisecond) // out of descriptors, or aborted
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-pending }()
			defer c.Close()
			serveStream(ctx, c, decide)
		}()
	}
}

// serveStream answers queries on one connection until something is wrong with it.
func serveStream(ctx context.Context, c *net.TCPConn, decide Decider) {
	from := Peer{Addr: c.RemoteAddr().(*net.TCPAddr).AddrPort(), Stream: c}
	var size [2]byte
	for ctx.Err() == nil {
		if c.SetDeadline(time.Now().Add(tcpIdle)) != nil {
			return
		}
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(size[:]))
		if n > MaxQuery {
			return
		}
		msg := make([]byte, n)
		if _, err := io.ReadFull(c, msg); err != nil {
			return
		}
		q, ok := Parse(msg)
		if !ok {
			return
		}
		reply := answer(ctx, &q, from, decide)
		if reply == nil {
			return
		}
		out := append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func answer(ctx context.Context, q *Query, from Peer, decide Decider) []byte {
	var o Outcome
	if name := q.Name(); name != "" {
		o = decide(ctx, name, q.Type(), from)
	}
	return q.Reply(o)
}
