package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Internet is a network namespace with servers. Its methods are safe for
// concurrent use.
type Internet struct {
	CAFile string // PEM of the CA that signs the HTTPS servers' certificates

	Capture *Capture // what came over the wire from the engine's side
	DNS     *DNSLog  // what was asked of the resolvers
	Web     *WebLog  // what was asked of the HTTP servers

	netns   *os.File
	ca      *authority
	closers []io.Closer
}

// addresses of the internet's end of the wire, with prefix lengths.
var addresses = []string{
	RouterAddr4 + "/24", DNSAddr4 + "/24", AllowedAddr4 + "/24", OtherAddr4 + "/24",
	PublicDNS4 + "/32", MetadataAddr + "/32", PrivateAddr4 + "/32",
	"2001:db8::1/64", DNSAddr6 + "/64", AllowedAddr6 + "/64", OtherAddr6 + "/64", PublicDNS6 + "/128",
}

func newInternet(dir string) (*Internet, error) {
	ca, err := newAuthority(dir)
	if err != nil {
		return nil, err
	}
	ns, err := newNetns()
	if err != nil {
		return nil, err
	}
	return &Internet{CAFile: ca.file, netns: ns, ca: ca, DNS: &DNSLog{}, Web: &WebLog{}}, nil
}

// address configures the namespace's end of the wire.
func (n *Internet) address() error {
	var b strings.Builder
	b.WriteString("ip link set lo up\nip link set net0 up\n")
	for _, a := range addresses {
		fmt.Fprintf(&b, "ip addr add %s dev net0 %s\n", a, map[bool]string{true: "nodad"}[strings.Contains(a, ":")])
	}
	// Where engines keep their containers: answers find the way back even
	// where an engine does not masquerade (IPv6).
	b.WriteString("ip route add 172.16.0.0/12 via " + EngineAddr4 + "\n")
	b.WriteString("ip -6 route add default via 2001:db8::2\n")
	return runScript(exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), n.netns.Fd()),
		"--", "sh", "-e", "-c", b.String()))
}

// serve starts recorder and servers.
func (n *Internet) serve() error {
	var err error
	if n.Capture, err = startCapture(n.netns, "net0"); err != nil {
		return err
	}
	n.closers = append(n.closers, n.Capture)
	for _, a := range addresses {
		host, _, _ := strings.Cut(a, "/")
		if err := n.serveUDP(host); err != nil {
			return err
		}
	}
	if err := n.serveDNSOverTCP(); err != nil {
		return err
	}
	return errors.Join(n.serveWeb(), n.serveEcho("9000"), n.serveEcho("22"), n.serveEcho("5432"))
}

// serveUDP answers DNS on port 53 and echoes on 9001; one socket for each
// address, so that an answer comes from where the question went.
func (n *Internet) serveUDP(host string) error {
	dns, err := n.listenPacket(net.JoinHostPort(host, "53"))
	if err != nil {
		return err
	}
	go n.DNS.serve(dns, host)
	echo, err := n.listenPacket(net.JoinHostPort(host, "9001"))
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			k, from, err := echo.ReadFrom(buf)
			if err != nil {
				return
			}
			echo.WriteTo(buf[:k], from)
		}
	}()
	return nil
}

// serveEcho answers every TCP connection to the port with a greeting, then
// with what it is sent.
func (n *Internet) serveEcho(port string) error {
	l, err := n.listen("[::]:" + port)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintf(c, "echo %s\n", c.LocalAddr())
				io.Copy(c, c)
			}()
		}
	}()
	return nil
}

func (n *Internet) listen(addr string) (l net.Listener, err error) {
	err = In(n.netns, func() error {
		l, err = net.Listen("tcp", addr)
		return err
	})
	if err == nil {
		n.closers = append(n.closers, l)
	}
	return l, err
}

func (n *Internet) listenPacket(addr string) (c net.PacketConn, err error) {
	err = In(n.netns, func() error {
		lc := net.ListenConfig{Control: reuseAddr}
		c, err = lc.ListenPacket(context.Background(), "udp", addr)
		return err
	})
	if err == nil {
		n.closers = append(n.closers, c)
	}
	return c, err
}

func reuseAddr(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}

// In runs f on a thread inside the internet's namespace: to dial a container
// from outside, for example.
func (n *Internet) In(f func() error) error { return In(n.netns, f) }

// Close stops the servers and gives the namespace up.
func (n *Internet) Close() error {
	for _, c := range n.closers {
		c.Close()
	}
	return n.netns.Close()
}
