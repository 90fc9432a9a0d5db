package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/engine"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/policy"
)

// trustBundles are where distributions keep one file with all roots: Debian and
// Alpine, RHEL (and where its link leads), SUSE.
var trustBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/ca-bundle.pem",
	"/var/lib/ca-certificates/ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// engineSockets are the sockets whose holder is root on the host, and endings
// of those that are elsewhere.
var engineSockets = []string{
	"/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock",
	"/run/podman/podman.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock",
}

// facts finds out all that the plan depends on, and changes nothing.
func (h *Host) facts(id, bundle string, spec *specs.Spec, record *engine.Record, doc *policy.Document) (*plan.Facts, error) {
	abi, err := landlock.ABI()
	if err != nil && !errors.Is(err, landlock.ErrUnsupported) {
		return nil, err
	}
	root := rootOf(bundle, spec)
	f := &plan.Facts{
		ID: id, Bundle: bundle, Root: root,
		LandlockABI: min(abi, landlock.MaxABI), RefuseUnenforceable: h.Config.OnUnenforceable == config.Refuse,
		Allow: plan.Allow(h.Config.Allow),
		SupervisorUIDs: plan.UIDRange{
			First: h.Config.UIDBase, Count: config.UIDCount,
		},
	}
	f.Engine = engineFacts(record)
	if f.Spec, err = h.specFacts(spec, record); err != nil {
		return nil, err
	}
	f.RunAs = runAs(root, doc.Process)
	f.TrustBundles = slices.DeleteFunc(findBundles(root), func(name string) bool { return underMount(name, spec) })
	return f, nil
}

func rootOf(bundle string, spec *specs.Spec) string {
	if spec.Root == nil {
		return bundle
	}
	if filepath.IsAbs(spec.Root.Path) {
		return filepath.Clean(spec.Root.Path)
	}
	return filepath.Join(bundle, spec.Root.Path)
}

func engineFacts(record *engine.Record) plan.Engine {
	if record == nil {
		return plan.Engine{}
	}
	e := plan.Engine{Name: record.Engine, SecurityOptions: record.SecurityOpt, Privileged: record.Privileged}
	for _, p := range record.Published {
		if p.Proto == "tcp" {
			e.Published = append(e.Published, p.Container)
		}
	}
	return e
}

func (h *Host) specFacts(spec *specs.Spec, record *engine.Record) (plan.Spec, error) {
	s := plan.Spec{
		Cwd: spec.Process.Cwd, UID: spec.Process.User.UID, GID: spec.Process.User.GID, Groups: spec.Process.User.AdditionalGids,
		Network: plan.NamespaceHost, PID: plan.NamespaceHost, Mount: plan.NamespaceHost, IPC: plan.NamespaceHost,
		RootWritable: spec.Root == nil || !spec.Root.Readonly,
	}
	if c := spec.Process.Capabilities; c != nil {
		s.Capabilities = slices.Concat(c.Bounding, c.Effective, c.Permitted, c.Ambient, c.Inheritable)
		slices.Sort(s.Capabilities)
		s.Capabilities = slices.Compact(s.Capabilities)
	}
	if l := spec.Linux; l != nil {
		s.Seccomp = l.Seccomp != nil
		s.MaskedPaths = len(l.MaskedPaths)
		s.AllDevices = l.Resources != nil && slices.ContainsFunc(l.Resources.Devices, allowsAll)
		for _, ns := range l.Namespaces {
			if err := namespaceFact(&s, ns); err != nil {
				return s, err
			}
		}
	}
	for _, m := range spec.Mounts {
		s.Mounts = append(s.Mounts, mountFact(m, record))
		if filepath.Clean(m.Destination) == "/dev" && m.Type == "tmpfs" {
			s.PrivateDev = true
		}
	}
	return s, nil
}

func allowsAll(d specs.LinuxDeviceCgroup) bool {
	return d.Allow && (d.Type == "" || d.Type == "a") && d.Major == nil && d.Minor == nil
}

// namespaceFact notes where one namespace comes from. A path that leads to the
// host's own is the host's.
func namespaceFact(s *plan.Spec, ns specs.LinuxNamespace) error {
	from := plan.NamespaceNew
	if ns.Path != "" {
		from = plan.NamespacePath
		host, err := sameFile(ns.Path, "/proc/self/ns/"+namespaceFile(ns.Type))
		if err != nil {
			return fmt.Errorf("looking at the %s namespace: %w", ns.Type, err)
		}
		if host {
			from = plan.NamespaceHost
		}
	}
	switch ns.Type {
	case specs.NetworkNamespace:
		s.Network = from
	case specs.PIDNamespace:
		s.PID = from
	case specs.MountNamespace:
		s.Mount = from
	case specs.IPCNamespace:
		s.IPC = from
	case specs.UserNamespace:
		s.UserNamespace = true
	}
	return nil
}

// namespaceFile is the name in /proc/PID/ns (namespaces(7)).
func namespaceFile(t specs.LinuxNamespaceType) string {
	switch t {
	case specs.NetworkNamespace:
		return "net"
	case specs.MountNamespace:
		return "mnt"
	}
	return string(t)
}

func sameFile(a, b string) (bool, error) {
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a namespace kind that this kernel does not have
	}
	return err == nil && os.SameFile(x, y), err
}

func mountFact(m specs.Mount, record *engine.Record) plan.Mount {
	fact := plan.Mount{
		Destination: m.Destination, Type: m.Type, Source: m.Source,
		ReadOnly: slices.Contains(m.Options, "ro"),
	}
	bind := m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
	if bind {
		fact.Type = "bind"
		fact.EngineSocket = leadsToEngine(m.Source)
		fact.HostProc = isKernelTree(m.Source) || slices.Contains(m.Options, "rbind") && holdsKernelTree(m.Source)
	}
	fact.Operator = operatorMount(m, bind, record)
	return fact
}

// operatorMount tells what a person asked for from what an image or an engine
// brings along. Without a record everything in the bundle is the operator's.
func operatorMount(m specs.Mount, bind bool, record *engine.Record) bool {
	if record == nil {
		return bind
	}
	return slices.Contains(record.OperatorMounts, filepath.Clean(m.Destination))
}

// leadsToEngine reports whether a source is an engine's socket, or a directory
// in which one lies.
func leadsToEngine(source string) bool {
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return false
	}
	for _, sock := range engineSockets {
		at, err := filepath.EvalSymlinks(sock)
		if err == nil && (at == real || strings.HasPrefix(at, strings.TrimSuffix(real, "/")+"/")) {
			return true
		}
	}
	base := filepath.Base(real)
	st, err := os.Stat(real)
	return err == nil && st.Mode()&os.ModeSocket != 0 &&
		(base == "docker.sock" || base == "containerd.sock" || base == "podman.sock" || base == "crio.sock")
}

// isKernelTree reports whether a source is (in) the host's proc or sysfs.
func isKernelTree(source string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(source, &st); err != nil {
		return false
	}
	return st.Type == unix.PROC_SUPER_MAGIC || st.Type == unix.SYSFS_MAGIC
}

// holdsKernelTree reports whether a proc or sysfs is mounted somewhere below a
// source: a recursive bind of / brings them along. What cannot be found out
// counts as yes.
func holdsKernelTree(source string) bool {
	real, err := filepath.EvalSymlinks(source)
	if st, serr := os.Stat(real); err != nil || serr != nil || !st.IsDir() {
		return false // nothing lies below it
	}
	below := strings.TrimSuffix(real, "/") + "/"
	trees, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, below) || m.FSType != "proc" && m.FSType != "sysfs", false
	})
	return err != nil || len(trees) > 0
}

// findBundles gives the trust bundles that the image has, links resolved, each once.
func findBundles(root string) []string {
	dir, err := openRoot(root)
	if err != nil {
		return nil
	}
	defer dir.close()
	var out []string
	prefix := ""
	if real, err := filepath.EvalSymlinks(root); err == nil && real != "/" {
		prefix = real
	}
	for _, name := range trustBundles {
		f, err := dir.openRegular(name)
		if err != nil {
			continue
		}
		at, err := dir.resolved(f)
		f.Close()
		if err != nil || !strings.HasPrefix(at, prefix+"/") {
			continue
		}
		if in := strings.TrimPrefix(at, prefix); !slices.Contains(out, in) {
			out = append(out, in)
		}
	}
	return out
}

// underMount reports whether a path of the image is hidden by a mount: a link
// may lead a trust store into an operator's volume, where a mount of ours would
// make a file on the host.
func underMount(name string, spec *specs.Spec) bool {
	return slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool {
		return isBelow(name, filepath.Clean("/"+m.Destination))
	})
}

// runAs looks up process.run_as_user and run_as_group in the image.
func runAs(root string, proc *policy.Process) plan.User {
	if proc == nil || proc.RunAsUser == "" && proc.RunAsGroup == "" {
		return plan.User{}
	}
	u := plan.User{}
	uid, primary, err := lookUpID(root, "/etc/passwd", proc.RunAsUser)
	if err != nil {
		u.Problem = err.Error()
		return u
	}
	u.UID, u.GID = uid, primary
	if proc.RunAsGroup != "" {
		if u.GID, _, err = lookUpID(root, "/etc/group", proc.RunAsGroup); err != nil {
			u.Problem = err.Error()
			return u
		}
	}
	u.Found = true
	return u
}

// maxID is the largest uid or gid that is taken as a number: above it, engines
// have wrapped around to root (CVE-2024-40635).
const maxID = 1<<31 - 1

// lookUpID finds a name in a passwd(5) or group(5) file of the image: its id,
// and of a user the primary group. A number stands for itself.
func lookUpID(root, file, name string) (id, group uint32, err error) {
	if name == "" {
		return 0, 0, errors.New("run_as_group is set without run_as_user")
	}
	n, numErr := strconv.ParseUint(name, 10, 64)
	if numErr == nil && n > maxID {
		return 0, 0, fmt.Errorf("%s is above %d", name, maxID)
	}
	text, err := readBelow(root, file)
	if err != nil && numErr != nil {
		return 0, 0, fmt.Errorf("looking up %q in the image's %s: %w", name, file, err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		// A user of the image may be called 1000 and be root: a number is no name.
		if len(f) < 4 || numErr != nil && f[0] != name || numErr == nil && f[2] != strconv.FormatUint(n, 10) {
			continue
		}
		id, err1 := strconv.ParseUint(f[2], 10, 31)
		primary, err2 := strconv.ParseUint(f[3], 10, 31)
		if file == "/etc/group" {
			primary, err2 = 0, nil
		}
		if err := errors.Join(err1, err2); err != nil {
			return 0, 0, fmt.Errorf("reading %q in the image's %s: %w", name, file, err)
		}
		return uint32(id), uint32(primary), nil
	}
	if numErr != nil {
		return 0, 0, fmt.Errorf("the image's %s has no %q", file, name)
	}
	return uint32(n), uint32(n), nil
}
