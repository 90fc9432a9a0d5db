package plan

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nemoclaw/nemoclaw/policy"
)

// devices are the nodes that every OCI container has (runtime-spec, "Default
// Devices") and that reach nothing but the container itself.
var devices = []string{
	"/dev/console", "/dev/full", "/dev/null", "/dev/ptmx", "/dev/pts",
	"/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero",
}

// engineFiles are the files that an engine binds into every container.
var engineFiles = []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}

// abiGaps says what an older Landlock leaves open (landlock(7), "ABI versions").
var abiGaps = []struct {
	below int
	what  string
	why   string
}{
	{2, "linking and renaming between directories", "Landlock ABI 1 refuses it everywhere, also where policy allows"},
	{3, "truncating files outside the writable paths", "Landlock before ABI 3 does not cover truncate(2)"},
	{5, "ioctl on devices that were opened", "Landlock before ABI 5 does not cover ioctl(2)"},
}

// resolveLandlock decides whether Landlock can hold the file rules at all.
func resolveLandlock(in *Input, p *Plan) Refusals {
	p.Filesystem.ABI = in.Facts.LandlockABI
	hard := hardRequirement(in.Effective)
	if in.Facts.LandlockABI == 0 {
		if hard || in.Facts.RefuseUnenforceable {
			return Refusals{{
				What: "running without Landlock", Why: "this kernel has none, so no path of the policy would hold",
				Fix: `boot with "landlock" in lsm=, or set on_unenforceable: warn in the host's configuration`,
			}}
		}
		p.weaken("every path of filesystem_policy", "this kernel has no Landlock", "")
		return nil
	}
	var out Refusals
	for _, gap := range abiGaps {
		if in.Facts.LandlockABI >= gap.below {
			continue
		}
		if hard {
			out = append(out, &Refusal{
				What: "landlock.compatibility: hard_requirement on this kernel", Why: gap.why,
				Fix: "use a newer kernel, or best_effort",
			})
			continue
		}
		p.weaken(gap.what, gap.why, "")
	}
	return out
}

// resolveFilesystem makes the rules, in an order that does not matter to the
// kernel and is by path for the reader.
func resolveFilesystem(in *Input, p *Plan) {
	fs := in.Effective.EffectiveFilesystem()
	optional := !hardRequirement(in.Effective)
	for _, r := range fs.ReadOnly {
		p.grant(r.Path, ReadOnly, optional || r.Optional, policySource(r))
	}
	for _, r := range fs.ReadWrite {
		p.grant(r.Path, ReadWrite, optional || r.Optional, policySource(r))
	}
	grantWorkdir(in, fs, p)
	for _, d := range devices {
		p.grant(d, Device, true, Source{Why: "a default device of every container"})
	}
	grantMounts(&in.Facts, p)
	p.Filesystem.Rules = normalise(p.Filesystem.Rules)
	p.Filesystem.ReadOnlyMounts = readOnlyUnderWritable(p.Filesystem.Rules)
	p.Filesystem.ReadOnlyRoot = in.Facts.Spec.RootWritable
}

func policySource(r policy.Path) Source {
	if r.Optional {
		return Source{At: r.At.String(), Why: "a default of the policy format"}
	}
	return Source{At: r.At.String(), Why: "listed in filesystem_policy"}
}

// grant adds a rule. /proc/self cannot be opened from outside as the agent will
// see it, so the rule is widened to /proc, and says so.
func (p *Plan) grant(name string, a Access, optional bool, from Source) {
	clean := path.Clean(name)
	if clean == "/proc/self" || strings.HasPrefix(clean, "/proc/self/") || strings.HasPrefix(clean, "/proc/thread-self") {
		p.weaken(fmt.Sprintf("%s is granted as /proc", clean), "a process cannot open another's /proc/self", from.At)
		clean = "/proc"
	}
	p.Filesystem.Rules = append(p.Filesystem.Rules, PathRule{Path: clean, Access: a, Optional: optional, From: from})
}

// grantWorkdir makes the work directory writable, but never the whole root.
func grantWorkdir(in *Input, fs policy.Filesystem, p *Plan) {
	if !fs.IncludeWorkdir {
		return
	}
	cwd := path.Clean("/" + in.Facts.Spec.Cwd)
	if cwd == "/" || inKernelTree(cwd, in.Facts.Spec.Mounts) {
		return // an image chooses its work directory: it must not open these
	}
	p.grant(cwd, ReadWrite, true, Source{At: fs.At.String(), Why: "the work directory (include_workdir)"})
}

// grantMounts grants what the operator mounted, at the mount's own mode, and
// the engine's own files for reading. An image's VOLUME gets what policy says.
func grantMounts(f *Facts, p *Plan) {
	for _, m := range f.Spec.Mounts {
		dest := path.Clean("/" + m.Destination)
		switch {
		case slices.Contains(engineFiles, dest):
			p.grant(dest, ReadOnly, true, Source{Why: "a file of the engine"})
		case !m.Operator || dest == "/" || isKernelMount(m.Type):
		case m.ReadOnly:
			p.grant(dest, ReadOnly, true, Source{Why: "mounted read-only by the operator"})
		default:
			p.grant(dest, ReadWrite, true, Source{Why: "mounted by the operator"})
		}
	}
}

// inKernelTree reports whether a path lies in /proc, /sys or another mount that
// shows the kernel.
func inKernelTree(name string, mounts []Mount) bool {
	if below(name, "/proc") || below(name, "/sys") {
		return true
	}
	return slices.ContainsFunc(mounts, func(m Mount) bool {
		return isKernelMount(m.Type) && below(name, path.Clean("/"+m.Destination))
	})
}

// below reports whether name is dir or lies in it. Both are clean.
func below(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// isKernelMount says which file systems show the kernel and not data.
func isKernelMount(kind string) bool {
	switch kind {
	case "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "bpf", "securityfs":
		return true
	}
	return false
}

// normalise sorts by path and access and drops doubles; of two that differ only
// in Optional the stricter stays.
func normalise(rules []PathRule) []PathRule {
	slices.SortStableFunc(rules, func(a, b PathRule) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Access, b.Access), boolCompare(a.Optional, b.Optional))
	})
	return slices.CompactFunc(rules, func(a, b PathRule) bool {
		return a.Path == b.Path && a.Access == b.Access
	})
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// readOnlyUnderWritable finds the paths that must be mounted read-only, because
// Landlock would let the writable path above win (tried: the write succeeds).
func readOnlyUnderWritable(rules []PathRule) []ReadOnlyMount {
	var out []ReadOnlyMount
	for _, r := range rules {
		if r.Access != ReadOnly || r.From.At == "" {
			continue
		}
		for _, w := range rules {
			if w.Access == ReadWrite && strings.HasPrefix(r.Path, strings.TrimSuffix(w.Path, "/")+"/") {
				out = append(out, ReadOnlyMount{Path: r.Path, From: r.From})
				break
			}
		}
	}
	return out
}

func hardRequirement(doc *policy.Document) bool {
	return doc.Landlock != nil && doc.Landlock.Compatibility == policy.HardRequirement
}
