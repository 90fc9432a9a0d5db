package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Addresses of the test internet. All of them answer on the same servers; what
// differs is which names lead there.
const (
	EngineAddr4  = "198.51.100.2"
	RouterAddr4  = "198.51.100.1"
	DNSAddr4     = "198.51.100.53"
	DNSAddr6     = "2001:db8::53"
	AllowedAddr4 = "198.51.100.10" // *.example.com
	AllowedAddr6 = "2001:db8::10"
	OtherAddr4   = "198.51.100.20" // *.example.org
	OtherAddr6   = "2001:db8::20"
	PublicDNS4   = "8.8.8.8"         // a resolver that someone might ask by address
	PublicDNS6   = "2001:4860::8888" // the same for IPv6
	MetadataAddr = "169.254.169.254" // a cloud's metadata service
	PrivateAddr4 = "10.99.0.10"      // a host of somebody's private network
)

// World is one private internet and one namespace for an engine. Make it with
// New, end it with Close.
type World struct {
	Dir      string // everything the world writes is below it
	Name     string // unique; part of cgroup names and of Dir
	Internet *Internet

	keep   bool      // Dir outlives Close
	holder *exec.Cmd // keeps the engine's namespaces
	netns  *os.File  // of the engine
}

// New makes the namespaces and starts the internet, in a new directory that
// Close removes. It needs root.
func New() (*World, error) {
	dir, err := os.MkdirTemp("/var/tmp", "nclab-")
	if err != nil {
		return nil, err
	}
	return build(&World{Dir: dir, keep: os.Getenv("NEMOCLAW_LAB_KEEP") != ""})
}

// NewAt is New in a directory that is kept, so that an engine started there
// again finds its images.
func NewAt(dir string) (*World, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return build(&World{Dir: dir, keep: true})
}

func build(w *World) (_ *World, err error) {
	// The supervisor's uid has to reach the helpers' binaries below it.
	if err := os.Chmod(w.Dir, 0o755); err != nil {
		return nil, err
	}
	w.Name = filepath.Base(w.Dir)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if err := w.startHolder(); err != nil {
		return nil, err
	}
	if w.Internet, err = newInternet(w.Dir); err != nil {
		return nil, err
	}
	if err := w.connect(); err != nil {
		return nil, err
	}
	return w, w.Internet.serve()
}

// startHolder starts a process that does nothing in namespaces of its own. It
// reads a pipe of ours, so that it ends with us even when we are killed. (A
// parent-death signal would come when the *thread* ends that started it.)
func (w *World) startHolder() error {
	w.holder = exec.Command("cat")
	w.holder.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Setsid:       true,
	}
	if _, err := w.holder.StdinPipe(); err != nil {
		return err
	}
	if err := w.holder.Start(); err != nil {
		return fmt.Errorf("starting the namespaces' holder: %w", err)
	}
	// Start returns when the child has executed: its namespaces are there.
	var err error
	w.netns, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", w.holder.Process.Pid))
	return err
}

// connect puts a veth between the two namespaces and addresses on both ends.
func (w *World) connect() error {
	inet := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), w.Internet.netns.Fd())
	if err := w.shell(`
		ip link set lo up
		ip link add inet0 type veth peer name net0
		ip link set net0 netns ` + inet + `
		ip addr add ` + EngineAddr4 + `/24 dev inet0
		ip -6 addr add 2001:db8::2/64 dev inet0 nodad
		ip link set inet0 up`); err != nil {
		return err
	}
	if err := w.Internet.address(); err != nil {
		return err
	}
	resolv := filepath.Join(w.Dir, "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver "+DNSAddr4+"\n"), 0o644); err != nil {
		return err
	}
	return w.shell(`
		ip route add default via ` + RouterAddr4 + `
		ip -6 route add default via 2001:db8::1
		ip route add ` + MetadataAddr + `/32 via ` + RouterAddr4 + `
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		mount --bind ` + resolv + ` /etc/resolv.conf`)
}

// Command prepares a command that runs in the engine's namespaces.
func (w *World) Command(name string, args ...string) *exec.Cmd {
	pid := strconv.Itoa(w.holder.Process.Pid)
	return exec.Command("nsenter", append([]string{"--target", pid, "--net", "--mount", "--", name}, args...)...)
}

// shell runs a script in the engine's namespaces; any failing line fails it.
func (w *World) shell(script string) error {
	return runScript(w.Command("sh", "-e", "-c", script))
}

func runScript(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// Holder is the process whose namespaces the engine runs in, for nsenter.
func (w *World) Holder() int { return w.holder.Process.Pid }

// InEngine runs f on a thread inside the engine's network namespace.
func (w *World) InEngine(f func() error) error { return In(w.netns, f) }

// Close ends what the world started and removes what it wrote.
func (w *World) Close() error {
	var errs []error
	if w.Internet != nil {
		errs = append(errs, w.Internet.Close())
	}
	if w.netns != nil {
		w.netns.Close()
	}
	if w.holder != nil && w.holder.Process != nil {
		stop(w.holder, 0)
	}
	if !w.keep {
		errs = append(errs, os.RemoveAll(w.Dir))
	}
	return errors.Join(errs...)
}

// stop ends a process that we started: SIGTERM, then after grace SIGKILL.
func stop(cmd *exec.Cmd, grace time.Duration) {
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	if grace > 0 {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
			return
		case <-time.After(grace):
		}
	}
	cmd.Process.Kill()
	<-done
}
