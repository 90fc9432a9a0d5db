package broker_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/enforce/network"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
	"github.com/nemoclaw/nemoclaw/policy"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// The addresses of the test's internet, and of the host's and the agent's ends.
const (
	worldAddr  = "198.51.100.2"
	hostAddr   = "198.51.100.1"
	agentAddr  = "198.51.100.130"
	worldAddr2 = "198.51.100.129" // the world's end towards the agent
	testUID    = 0x7800abcd
	testMark   = 0x6e656d6f
)

// binaries are the two programs, built once as they are shipped. They stay in
// the cache, beside what the go command keeps there, one pair a checkout.
var binaries = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "nemoclaw-test", fmt.Sprintf("%x", sha256.Sum256([]byte(here)))[:12])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "../cmd/nemoclaw-broker", "../cmd/nemoclaw-supervisor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	kerneltest.Main(m, kerneltest.Children{
		"ask as nobody": func(args []string) error {
			if err := syscall.Setuid(65534); err != nil {
				return err
			}
			slot, err := sandbox.OpenSlot(args[0])
			if err != nil {
				return err
			}
			_, err = slot.Ask(&sandbox.Request{Verb: sandbox.VerbStatus})
			return err
		},
	})
}

// world is a host, an internet and an agent, each in a network namespace.
type world struct {
	t                  *testing.T
	host, inet, agent  *os.File
	dir, roots, caFile string
	slot               *sandbox.Slot
	broker             *exec.Cmd
	started            sandbox.Started
	cgroup             string
	log                string
	queries            *queryLog
	own                bool   // the agent has a network of its own
	unknown            string // names that end so do not exist in the internet
	ca                 *testCA
}

// newWorld makes the namespaces, the servers, and a broker with a container in
// it, released. With network the agent's namespace has an interface of its own.
func newWorld(t *testing.T, policyText string, ownNetwork bool) *world {
	t.Helper()
	kerneltest.Root(t)
	w := &world{t: t, own: ownNetwork, dir: t.TempDir(), host: kerneltest.Netns(t), inet: kerneltest.Netns(t), agent: kerneltest.Netns(t)}
	for _, ns := range []*os.File{w.host, w.inet, w.agent} {
		check(t, network.LoopbackUp(ns))
	}
	w.veth(w.host, hostAddr+"/25", w.inet, worldAddr+"/25")
	if ownNetwork {
		w.veth(w.agent, agentAddr+"/25", w.inet, worldAddr2+"/25")
		kerneltest.In(t, w.agent, func() error { return defaultRoute(worldAddr2) })
	}
	w.ca = newTestCA(t)
	w.roots = filepath.Join(w.dir, "roots.pem")
	check(t, os.WriteFile(w.roots, w.ca.pem, 0o644))
	w.serveWorld()
	w.makeCgroup()
	w.startBroker()
	w.addContainer("c1", policyText, ownNetwork)
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// veth joins two namespaces.
func (w *world) veth(a *os.File, addrA string, b *os.File, addrB string) {
	w.t.Helper()
	name := "nc" + strconv.Itoa(os.Getpid()%10000)
	kerneltest.In(w.t, a, func() error {
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name + "a"}, PeerName: name + "b", PeerNamespace: netlink.NsFd(b.Fd())}
		if err := netlink.LinkAdd(link); err != nil {
			return err
		}
		return address(name+"a", addrA)
	})
	kerneltest.In(w.t, b, func() error {
		// Two of them may come to the internet's namespace.
		fresh := "w" + strings.ReplaceAll(strings.SplitN(addrB, "/", 2)[0], ".", "")[6:]
		l, err := netlink.LinkByName(name + "b")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetName(l, fresh); err != nil {
			return err
		}
		return address(fresh, addrB)
	})
}

func address(name, addr string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func defaultRoute(via string) error {
	return netlink.RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, Gw: net.ParseIP(via)})
}

func (w *world) makeCgroup() {
	root := "/sys/fs/cgroup"
	var st unix.Statfs_t
	if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		root += "/unified"
	}
	w.cgroup = filepath.Join(root, fmt.Sprintf("nemoclaw-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
	dir := w.cgroup
	check(w.t, os.Mkdir(dir, 0o755))
	w.t.Cleanup(func() {
		for range 100 {
			if os.Remove(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		w.t.Errorf("cgroup %s is still in use", dir)
	})
}

// startBroker starts it as the runtime does.
func (w *world) startBroker() {
	t := w.t
	bin, err := binaries()
	check(t, err)
	w.slot, err = sandbox.NewSlot(w.dir, 65536, func(string) error { return nil })
	check(t, err)
	conn, theirs, err := sandbox.Pair()
	check(t, err)
	defer conn.Close()
	w.broker = exec.Command(filepath.Join(bin, "nemoclaw-broker"))
	w.broker.ExtraFiles = []*os.File{theirs}
	w.broker.Env = []string{}
	w.broker.Stderr = os.Stderr
	w.broker.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(t, kerneltest.DoIn(w.host, w.broker.Start))
	theirs.Close()
	t.Cleanup(func() {
		_ = w.broker.Process.Kill()
		_ = w.broker.Wait()
		waitGone(t, w.started.SupervisorPID)
		for range 100 {
			if w.slot.RemoveCgroup() == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the slot's cgroup is still in use")
	})
	sup, brk := programs(t)
	check(t, conn.Send(&sandbox.Start{
		SlotDir: w.slot.Dir, Supervisor: filepath.Join(bin, "nemoclaw-supervisor"), UID: testUID, Mark: testMark,
		SupervisorSeccomp: sup, BrokerSeccomp: brk, UpstreamCAFile: w.roots,
		DNS: sandbox.DNS{Servers: []string{w.server()}, Pool: netip.MustParsePrefix("28.192.0.0/16")},
	}))
	_ = conn.Socket().SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = conn.Receive(&w.started)
	check(t, err)
	if w.started.Error != "" {
		t.Fatal(w.started.Error)
	}
	w.caFile = filepath.Join(w.dir, "sandbox-ca.pem")
	check(t, os.WriteFile(w.caFile, w.started.CACert, 0o644))
}

func (w *world) server() string { return worldAddr }

// addContainer attaches the namespace, adds a container, and releases it.
func (w *world) addContainer(id, text string, ownNetwork bool) {
	t := w.t
	l, err := network.Listen(w.agent)
	check(t, err)
	defer l.Close()
	check(t, network.Apply(w.agent, network.Fence{Ports: l.Ports, Mark: testMark, IngressTCP: []uint16{ingressPort}}))
	cookie, err := network.Cookie(w.agent)
	check(t, err)
	attach := &sandbox.Attach{Cookie: cookie}
	var files []*os.File
	for _, s := range l.Sockets {
		attach.Sockets = append(attach.Sockets, sandbox.SocketKind(s.Kind))
		files = append(files, s.File)
	}
	attach.Sockets, files = append(attach.Sockets, sandbox.SocketNetns), append(files, w.agent)
	_, err = w.slot.Ask(&sandbox.Request{Verb: sandbox.VerbAttach, Attach: attach}, files...)
	check(t, err)
	w.join(id, text, ownNetwork)
}

// join adds a container to the namespace that is attached, and releases it. Its
// processes are those of the world's cgroup at this moment.
func (w *world) join(id, text string, ownNetwork bool) {
	t := w.t
	doc, _, err := policy.Parse("test.yaml", []byte(text))
	check(t, err)
	w.log = filepath.Join(w.dir, id+".jsonl")
	f, err := audit.OpenFile(w.log)
	check(t, err)
	defer f.Close()
	_, err = w.slot.Ask(&sandbox.Request{Verb: sandbox.VerbAdd, Container: &sandbox.Container{
		ID: id, Policy: doc, PolicyDigest: doc.Digest(), Cgroups: []string{w.cgroup},
	}}, f)
	check(t, err)
	_, err = network.AddLoopbackRoutes(w.agent)
	check(t, err)
	_, err = w.slot.Ask(&sandbox.Request{Verb: sandbox.VerbStart, ID: id, DialHere: ownNetwork})
	check(t, err)
}

// run runs a command as the agent: in its namespace and cgroup.
func (w *world) run(args ...string) (stdout string, status int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	w.asAgent(cmd)
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("%q: %v", args, err)
	}
	w.t.Logf("%q: status %d: %.300s %.300s", args, cmd.ProcessState.ExitCode(), out.String(), errOut.String())
	return out.String(), cmd.ProcessState.ExitCode()
}

func (w *world) asAgent(cmd *exec.Cmd) {
	w.t.Helper()
	dir, err := os.Open(w.cgroup)
	check(w.t, err)
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	check(w.t, kerneltest.DoIn(w.agent, cmd.Start))
}

// curl runs curl with the sandbox's authority and gives body and HTTP status.
func (w *world) curl(args ...string) (body string, status int) {
	w.t.Helper()
	all := append([]string{"curl", "-sS", "--max-time", "15", "--noproxy", "*", "--cacert", w.caFile, "-w", "\n%{http_code}"}, args...)
	out, _ := w.run(all...)
	i := strings.LastIndexByte(out, '\n')
	status, _ = strconv.Atoi(out[i+1:])
	return out[:max(i, 0)], status
}

// records reads the audit log, and holds that its chain is whole.
func (w *world) records() []audit.Event {
	w.t.Helper()
	b, err := os.ReadFile(w.log)
	check(w.t, err)
	if _, err := audit.Verify(bytes.NewReader(b)); err != nil {
		w.t.Errorf("the audit log: %v", err)
	}
	var out []audit.Event
	for line := range strings.Lines(string(b)) {
		var e audit.Event
		check(w.t, json.Unmarshal([]byte(line), &e))
		out = append(out, e)
	}
	return out
}

// recorded looks for a record.
func (w *world) recorded(kind audit.Kind, verdict, reason, host string) bool {
	for _, e := range w.records() {
		if e.Kind == kind && e.Verdict == verdict && e.Reason == reason && e.Host == host {
			return true
		}
	}
	return false
}

func waitGone(t testing.TB, pid int) {
	t.Helper()
	if pid == 0 {
		return
	}
	for range 200 {
		if err := unix.Kill(pid, 0); errors.Is(err, unix.ESRCH) {
			return
		}
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); bytes.Contains(b, []byte(") Z ")) {
			return // a zombie of init's
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}

// testCA signs for the servers of the test's internet.
type testCA struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newTestCA(t testing.TB) *testCA {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the world's authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return &testCA{key, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (ca *testCA) leaf(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{hello.ServerName},
	}
	if hello.ServerName == "" {
		tmpl.DNSNames, tmpl.IPAddresses = nil, []net.IP{net.ParseIP(worldAddr)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, ca.key.Public(), ca.key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.key}, err
}

// queryLog is what the internet's name server was asked.
type queryLog struct {
	mu    sync.Mutex
	names []string
}

func (q *queryLog) add(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.names = append(q.names, name)
}

func (q *queryLog) has(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range q.names {
		if n == name {
			return true
		}
	}
	return false
}

// special are names whose addresses are not the internet's.
func special(name string) []string {
	switch name {
	case "loop.example.test.":
		return []string{"127.0.0.1"}
	case "meta.example.test.":
		return []string{"169.254.169.254"}
	case "corp.wild.test.":
		return []string{"10.1.2.3"}
	case "host.example.test.":
		return []string{hostAddr}
	case "mixed.example.test.":
		return []string{worldAddr, "127.0.0.1"}
	}
	return []string{worldAddr}
}

// serveWorld starts the servers of the internet: they listen on every address.
func (w *world) serveWorld() {
	t := w.t
	w.queries = &queryLog{}
	mux := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/redirect") {
			http.Redirect(rw, r, "/no", http.StatusFound)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(rw, "%s %s%s body=%d from=%s", r.Method, r.Host, r.URL.RequestURI(), n, r.RemoteAddr)
	})
	kerneltest.In(t, w.inet, func() error {
		for _, port := range []string{":80", ":8080"} {
			l, err := net.Listen("tcp4", port)
			if err != nil {
				return err
			}
			serveHTTP(t, l, mux)
		}
		l, err := net.Listen("tcp4", ":443")
		if err != nil {
			return err
		}
		serveHTTP(t, tls.NewListener(l, &tls.Config{GetCertificate: w.ca.leaf, NextProtos: []string{"http/1.1"}}), mux)
		if err := w.serveRaw(":9000", echo); err != nil {
			return err
		}
		if err := w.serveRaw(":2525", func(c net.Conn) { fmt.Fprint(c, "220 ready\r\n"); echo(c) }); err != nil {
			return err
		}
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(worldAddr), Port: 53})
		if err != nil {
			return err
		}
		t.Cleanup(func() { u.Close() })
		go w.serveNames(u)
		return nil
	})
}

// echo hides what c is: splice(2) would leave pipes in the library's pool.
func echo(c net.Conn) { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

func serveHTTP(t *testing.T, l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	t.Cleanup(func() { s.Close() })
	go s.Serve(l)
}

func (w *world) serveRaw(addr string, f func(net.Conn)) error {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); f(c) }()
		}
	}()
	return nil
}

func (w *world) serveNames(u *net.UDPConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := u.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		w.queries.add(q.Name.String())
		m.Response = true
		switch {
		case strings.HasPrefix(q.Name.String(), "nx."), w.unknown != "" && strings.HasSuffix(q.Name.String(), w.unknown):
			m.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA:
			for _, a := range special(q.Name.String()) {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()},
				})
			}
		}
		if out, err := m.Pack(); err == nil {
			u.WriteTo(out, from)
		}
	}
}
