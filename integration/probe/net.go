package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

const patience = 3 * time.Second

var netOps = map[string]operation{
	"tcp":     tcp,
	"udp":     udp,
	"udpbind": udpBind,
	"dns":     dns,
	"dnstcp":  dns,
	"resolve": resolve,
	"http":    get,
	"serve":   serve,
	"socket":  socket,
	"mark":    mark,
}

// tcp connects, sends the second argument if there is one, and returns the first bytes.
func tcp(args []string, a *answer) error {
	c, err := net.DialTimeout("tcp", args[0], patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if len(args) > 1 {
		if _, err := io.WriteString(c, strings.ReplaceAll(args[1], `\r\n`, "\r\n")); err != nil {
			return err
		}
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	a.Data = string(buf[:n])
	return err
}

// udp sends the second argument and waits for an answer.
func udp(args []string, a *answer) error {
	c, err := net.Dial("udp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience / 2))
	if _, err := io.WriteString(c, args[1]); err != nil {
		return err
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	a.Data = string(buf[:n])
	return err
}

// udpBind waits on the address for a datagram, then answers it every 100 ms
// for a second: what someone does who wants a way out that an inbound packet opened.
func udpBind(args []string, a *answer) error {
	c, err := net.ListenPacket("udp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println(`{"op":"ready","ok":true}`)
	c.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 2048)
	to := net.Addr(nil)
	if n, from, err := c.ReadFrom(buf); err == nil {
		a.Data, to = string(buf[:n]), from
	} else if len(args) > 1 {
		to, _ = net.ResolveUDPAddr("udp", args[1])
	}
	if to == nil {
		return errors.New("nothing came")
	}
	for i := 0; i < 10; i++ {
		if _, err = c.WriteTo([]byte("way out"), to); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// dns asks SERVER:PORT for NAME TYPE (A, AAAA, TXT) and returns code and addresses.
func dns(args []string, a *answer) error {
	types := map[string]dnsmessage.Type{"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "TXT": dnsmessage.TypeTXT}
	name, err := dnsmessage.NewName(strings.TrimSuffix(args[1], ".") + ".")
	if err != nil {
		return err
	}
	kind := dnsmessage.TypeA
	if len(args) > 2 {
		kind = types[args[2]]
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: kind, Class: dnsmessage.ClassINET}},
	}
	q, err := m.Pack()
	if err != nil {
		return err
	}
	network := "udp"
	if strings.HasPrefix(a.Op, "dnstcp") {
		network = "tcp"
		q = append([]byte{byte(len(q) >> 8), byte(len(q))}, q...)
	}
	buf, err := exchange(network, args[0], q)
	if err != nil {
		return err
	}
	return readAnswer(buf, a)
}

func exchange(network, server string, q []byte) ([]byte, error) {
	c, err := net.DialTimeout(network, server, patience)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience / 2))
	if _, err := c.Write(q); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err == nil && network == "tcp" {
		if n < 2 {
			return nil, io.ErrUnexpectedEOF
		}
		return buf[2:n], nil
	}
	return buf[:n], err
}

func readAnswer(buf []byte, a *answer) error {
	var r dnsmessage.Message
	if err := r.Unpack(buf); err != nil {
		return err
	}
	var addrs []string
	for _, rr := range r.Answers {
		switch b := rr.Body.(type) {
		case *dnsmessage.AResource:
			addrs = append(addrs, net.IP(b.A[:]).String())
		case *dnsmessage.AAAAResource:
			addrs = append(addrs, net.IP(b.AAAA[:]).String())
		}
	}
	a.Map = map[string]string{"rcode": r.RCode.String(), "addrs": strings.Join(addrs, " ")}
	for _, rr := range r.Additionals {
		if opt, ok := rr.Body.(*dnsmessage.OPTResource); ok {
			for _, o := range opt.Options {
				if o.Code == 15 && len(o.Data) >= 2 {
					a.Map["ede"] = fmt.Sprint(int(o.Data[0])<<8 | int(o.Data[1]))
				}
			}
		}
	}
	return nil
}

func resolve(args []string, a *answer) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, args[0])
	a.Data = strings.Join(addrs, " ")
	return err
}

// get makes a request without any proxy: http URL [METHOD [BODY]].
func get(args []string, a *answer) error {
	method, body := "GET", ""
	if len(args) > 1 {
		method = args[1]
	}
	if len(args) > 2 {
		body = args[2]
	}
	req, err := http.NewRequest(method, args[0], bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	client := &http.Client{
		Timeout:       2 * patience,
		Transport:     &http.Transport{Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	a.Data = string(b)
	a.Map = map[string]string{"status": fmt.Sprint(resp.StatusCode), "type": resp.Header.Get("Content-Type")}
	return err
}

// serve answers HTTP on the address for the given time, after saying that it is ready.
func serve(args []string, _ *answer) error {
	d, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println(`{"op":"ready","ok":true}`)
	time.AfterFunc(d, func() { l.Close() })
	err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "agent here, you are %s\n", r.RemoteAddr)
	}))
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// socket opens a socket: socket FAMILY TYPE PROTOCOL, by number or by name.
func socket(args []string, _ *answer) error {
	known := map[string]int{
		"inet": unix.AF_INET, "inet6": unix.AF_INET6, "unix": unix.AF_UNIX, "netlink": unix.AF_NETLINK,
		"packet": unix.AF_PACKET, "alg": unix.AF_ALG, "vsock": unix.AF_VSOCK, "bluetooth": unix.AF_BLUETOOTH,
		"key": unix.AF_KEY, "xdp": unix.AF_XDP, "rds": unix.AF_RDS, "tipc": unix.AF_TIPC, "can": unix.AF_CAN,
		"stream": unix.SOCK_STREAM, "dgram": unix.SOCK_DGRAM, "raw": unix.SOCK_RAW, "seqpacket": unix.SOCK_SEQPACKET,
		"icmp": unix.IPPROTO_ICMP, "sctp": unix.IPPROTO_SCTP, "mptcp": unix.IPPROTO_MPTCP, "udplite": unix.IPPROTO_UDPLITE,
		"dccp": 33, "route": unix.NETLINK_ROUTE, "netfilter": unix.NETLINK_NETFILTER, "audit": unix.NETLINK_AUDIT,
		"sockdiag": unix.NETLINK_SOCK_DIAG, "kobject": unix.NETLINK_KOBJECT_UEVENT, "xfrm": unix.NETLINK_XFRM,
	}
	var v [3]int
	for i := range v {
		n, ok := known[args[i]]
		if !ok {
			if _, err := fmt.Sscan(args[i], &n); err != nil {
				return err
			}
		}
		v[i] = n
	}
	fd, err := unix.Socket(v[0], v[1], v[2])
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// mark tries to set a packet mark on a socket.
func mark(args []string, _ *answer) error {
	var m int
	if _, err := fmt.Sscan(args[0], &m); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, m)
}
