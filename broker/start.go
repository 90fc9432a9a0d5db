package broker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

const (
	gcPercent  = 50
	memoryGoal = 24 << 20
	resolvConf = "/etc/resolv.conf"
)

// systemRoots are where distributions keep their root certificates; the first
// that is there counts (crypto/x509 looks at the same places).
func systemRoots() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem", // openSUSE
		"/etc/ssl/cert.pem",
	}
}

// Run serves one slot: it takes Start from sock, answers Started, and returns
// when the last container is out, or the start did not work.
func Run(sock *os.File) error {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryGoal)
	runtimeEnd, err := sandbox.FileConn(sock)
	if err != nil {
		return err
	}
	defer runtimeEnd.Close()
	var start sandbox.Start
	files, err := runtimeEnd.Receive(&start)
	if err != nil {
		return fmt.Errorf("receiving the start message: %w", err)
	}
	for _, f := range files {
		f.Close() // the slot's directory: its path is enough, and is root's
	}
	b, err := begin(&start)
	if err != nil {
		return errors.Join(err, runtimeEnd.Send(&sandbox.Started{Error: err.Error()}))
	}
	err = runtimeEnd.Send(&sandbox.Started{CACert: b.caCert, BrokerPID: os.Getpid(), SupervisorPID: b.child.pid()})
	if err != nil {
		b.shutdown()
		return err
	}
	runtimeEnd.Close()
	return b.serve()
}

// begin is the start-up, one step after the other. What it has made is undone
// when a later step does not work.
func begin(start *sandbox.Start) (_ *broker, err error) {
	slot, err := sandbox.OpenSlot(start.SlotDir)
	if err != nil {
		return nil, err
	}
	if start.UID == 0 || start.Mark == 0 {
		return nil, errors.New("starting a supervisor: uid and mark may not be 0")
	}
	b := &broker{slot: slot, start: start, containers: make(map[string]*container)}
	defer func() {
		if err != nil {
			b.shutdown()
		}
	}()
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("making the broker undumpable: %w", err)
	}
	// The cgroup first: whatever is started later is born into it.
	if err := slot.JoinCgroup(); err != nil {
		return nil, err
	}
	if err := b.openInputs(); err != nil {
		return nil, err
	}
	if b.control, err = listenControl(slot.ControlSocket()); err != nil {
		return nil, err
	}
	// The mount namespace needs privilege that goes next.
	if b.cell, err = newCell(start.Supervisor, start.SlotDir, start.UID); err != nil {
		return nil, err
	}
	if err := dropCapabilities(); err != nil {
		return nil, err
	}
	// The filter last of all: it also stands over every supervisor.
	if err := seccomp.Install(start.BrokerSeccomp); err != nil {
		return nil, err
	}
	if err := b.startSupervisor(); err != nil {
		return nil, err
	}
	return b, nil
}

// openInputs opens everything that a supervisor is given, now and after a
// restart: later the broker opens nothing but /proc and cgroups.
func (b *broker) openInputs() (err error) {
	if b.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return err
	}
	if b.authority, err = memfd("nemoclaw-authority"); err != nil {
		return err
	}
	if b.names, err = memfd("nemoclaw-names"); err != nil {
		return err
	}
	for _, path := range systemRoots() {
		f, err := os.Open(path)
		if err == nil {
			b.roots = append(b.roots, f)
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("opening root certificates: %w", err)
		}
	}
	if path := b.start.UpstreamCAFile; path != "" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("opening tls.upstream_ca_file: %w", err)
		}
		b.roots = append(b.roots, f)
	}
	return b.findServers()
}

// findServers takes the host's resolvers where the configuration names none.
// Without any, names do not resolve.
func (b *broker) findServers() error {
	if len(b.start.DNS.Servers) > 0 {
		return nil
	}
	f, err := os.Open(resolvConf)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the host's resolvers: %w", err)
	}
	defer f.Close()
	b.start.DNS.Servers = nameservers(f)
	return nil
}

// memfd makes a file in memory that is never executed. Where the kernel does
// not know that flag (before 6.3) it goes without.
func memfd(name string) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// nameservers reads the servers of a resolv.conf(5), at most three as there.
func nameservers(r io.Reader) []string {
	var out []string
	lines := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for lines.Scan() && len(out) < 3 {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			out = append(out, a.String())
		}
	}
	return out
}

// listenControl makes the control socket, root's alone. It goes by the
// directory's descriptor, because its path may be longer than sun_path.
func listenControl(path string) (*net.UnixListener, error) {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("making the control socket: %w", err)
	}
	defer dir.Close()
	short := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("making the control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // shutdown does, by the whole path
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("making the control socket: %w", err)
	}
	return l, nil
}
