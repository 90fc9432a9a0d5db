package network_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/network"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

func TestMain(m *testing.M) { kerneltest.Main(m, kerneltest.Children{"mark": setMark}) }

// nft runs nft(8) in the namespace and returns what it prints.
func nft(t *testing.T, netns *os.File, args ...string) string {
	t.Helper()
	return kerneltest.MustRun(t, inNamespace(netns, "nft", args...)).Stdout
}

func inNamespace(netns *os.File, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--net=/proc/self/fd/3", name}, args...)...)
	cmd.ExtraFiles = []*os.File{netns}
	return cmd
}

// TestKernelAgrees: what is enforced is what the golden file says, and what nft
// itself makes of the golden file is the same.
func TestKernelAgrees(t *testing.T) {
	kerneltest.Root(t)
	fences := map[string]network.Fence{
		"full": {
			Ports:      network.Ports{TCP4: 40001, TCP6: 40002, DNSUDP4: 40003, DNSUDP6: 40004, DNSTCP4: 40005, DNSTCP6: 40006, IngressLog: 20035},
			Mark:       0x4e43,
			IngressTCP: []uint16{18789, 80, 443, 8080, 80, 65535, 1},
		},
		"ipv4-closed": {
			Ports: network.Ports{TCP4: 40001, DNSUDP4: 40003, DNSTCP4: 40005},
			Mark:  0x80000001,
		},
	}
	for name, f := range fences {
		path := "testdata/" + name + ".nft"
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := kerneltest.Netns(t), kerneltest.Netns(t)
		if err := network.Apply(ours, f); err != nil {
			t.Fatal(err)
		}
		if got := nft(t, ours, "list", "ruleset"); got != string(want) {
			t.Errorf("%s: the kernel has\n%s", path, got)
		}
		nft(t, theirs, "-f", path)
		if got := nft(t, theirs, "list", "ruleset"); got != string(want) {
			t.Errorf("%s: nft makes of it\n%s", path, got)
		}
		if a, b := nft(t, ours, "--debug=netlink", "list", "ruleset"), nft(t, theirs, "--debug=netlink", "list", "ruleset"); a != b {
			t.Errorf("%s: the expressions differ:\n%s\n%s", path, a, b)
		}
	}
}

func TestApplyAgainAndRemove(t *testing.T) {
	netns := kerneltest.Netns(t)
	f := network.Fence{Ports: network.Ports{TCP4: 1, DNSUDP4: 2, DNSTCP4: 3}, Mark: 1}
	if err := network.Remove(netns); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	if err := network.Apply(netns, f); err != nil {
		t.Fatal(err)
	}
	first := nft(t, netns, "list", "ruleset")
	if err := network.Apply(netns, f); err != nil {
		t.Fatal(err)
	}
	if again := nft(t, netns, "list", "ruleset"); again != first {
		t.Errorf("applied twice, the fence is another:\n%s", again)
	}
	f.Mark = 0
	if err := network.Apply(netns, f); err == nil {
		t.Errorf("a fence without a mark was applied")
	}
	if now := nft(t, netns, "list", "ruleset"); now != first {
		t.Errorf("a refused fence changed the one that stands:\n%s", now)
	}
	for range 2 {
		if err := network.Remove(netns); err != nil {
			t.Error(err)
		}
	}
	if left := nft(t, netns, "list", "ruleset"); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// TestManyIngressPorts: a published range, in one transaction all the same.
func TestManyIngressPorts(t *testing.T) {
	netns := kerneltest.Netns(t)
	f := network.Fence{Ports: network.Ports{TCP4: 1, DNSUDP4: 2, DNSTCP4: 3}, Mark: 1}
	for p := range 5000 {
		f.IngressTCP = append(f.IngressTCP, uint16(p+1))
	}
	if err := network.Apply(netns, f); err != nil {
		t.Fatal(err)
	}
	if got := nft(t, netns, "list", "ruleset"); got != network.Rules(f).String() {
		t.Errorf("%d bytes, want %d", len(got), len(network.Rules(f).String()))
	}
}

func TestCookie(t *testing.T) {
	a, b := kerneltest.Netns(t), kerneltest.Netns(t)
	ca, err := network.Cookie(a)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := network.Cookie(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := network.Cookie(a)
	if err != nil || again != ca {
		t.Errorf("asked again: %d, %v; before: %d", again, err, ca)
	}
	if ca == 0 || ca == cb {
		t.Errorf("cookies %d and %d", ca, cb)
	}
}

func TestNotANamespace(t *testing.T) {
	kerneltest.Root(t)
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fence := network.Fence{Ports: network.Ports{TCP4: 1, DNSUDP4: 2, DNSTCP4: 3}, Mark: 1}
	_, listenErr := network.Listen(f)
	_, cookieErr := network.Cookie(f)
	_, routeErr := network.AddLoopbackRoutes(f)
	for i, err := range []error{network.Apply(f, fence), network.LoopbackUp(f), listenErr, cookieErr, routeErr} {
		if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%d: %v, want EINVAL", i, err)
		}
	}
}

func TestListenWithoutIPv6(t *testing.T) {
	netns := kerneltest.Netns(t)
	kerneltest.In(t, netns, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0)
	})
	if err := network.LoopbackUp(netns); err != nil {
		t.Fatal(err)
	}
	l, err := network.Listen(netns)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Ports.TCP6 != 0 || l.Ports.DNSUDP6 != 0 || l.Ports.TCP4 == 0 {
		t.Errorf("ports %+v", l.Ports)
	}
	if err := network.Apply(netns, network.Fence{Ports: l.Ports, Mark: 1}); err != nil {
		t.Error(err)
	}
	if _, err := network.AddLoopbackRoutes(netns); err != nil {
		t.Error(err)
	}
}

func TestListenNeedsLoopbackUp(t *testing.T) {
	netns := kerneltest.Netns(t)
	l, err := network.Listen(netns)
	if err == nil {
		defer l.Close()
	}
	// Linux binds to 127.0.0.1 even while lo is down; ::1 is not there yet.
	if err == nil && l.Ports.TCP6 != 0 {
		t.Errorf("listening on ::1 while lo is down: %+v", l.Ports)
	}
}

func TestListenersInOrder(t *testing.T) {
	netns := kerneltest.Netns(t)
	if err := network.LoopbackUp(netns); err != nil {
		t.Fatal(err)
	}
	l, err := network.Listen(netns)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var kinds string
	for _, s := range l.Sockets {
		kinds += fmt.Sprintf("%s ", s.Kind)
		flags, err := unix.FcntlInt(s.File.Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: flags %#x, %v: not close-on-exec", s.Kind, flags, err)
		}
	}
	if want := "tcp4 tcp6 dns-udp4 dns-udp6 dns-tcp4 dns-tcp6 sock-diag ingress-log "; kinds != want {
		t.Errorf("%s, want %s", kinds, want)
	}
}
