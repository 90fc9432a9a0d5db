// Package specedit writes a plan into an OCI runtime spec. It is pure: a spec
// and a plan go in, the edited spec comes out, golden-tested. What it cannot
// say in a spec (Landlock, the second seccomp program, the fence) is carried
// out by package hooks.
package specedit

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/plan"
)

// Inputs are the things on the host that an edited spec refers to.
type Inputs struct {
	// DefaultSeccomp is used where the plan says so. It is not changed.
	DefaultSeccomp *specs.LinuxSeccomp
	// TrustMounts are the files that are bound over trust stores.
	TrustMounts []TrustMount
}

// TrustMount binds Source, on the host, over Destination in the container.
type TrustMount struct {
	Source      string
	Destination string
}

// stubCalls are the system calls that nemoclaw-init makes after the first
// profile is in force and that an engine's allow-list may lack.
var stubCalls = []string{"landlock_restrict_self", "seccomp", "prctl", "pread64", "read", "close", "execve", "write", "exit_group"}

// Apply edits spec in place. Process must be set.
func Apply(spec *specs.Spec, p *plan.Plan, in Inputs) {
	ApplyProcess(spec.Process, p)
	keepMounts(spec)
	applySeccomp(spec, p, in.DefaultSeccomp)
	for _, m := range in.TrustMounts {
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Destination: m.Destination, Source: m.Source, Type: "bind",
			Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"},
		})
	}
}

// keepMounts keeps what is mounted inside the container there: a bundle may
// share mounts with the host, and a read-only mount of ours would then lie on
// the host's own directory (tried). The agent, which cannot mount, loses nothing.
func keepMounts(spec *specs.Spec) {
	slave := func(propagation string) string {
		switch propagation {
		case "shared":
			return "slave"
		case "rshared":
			return "rslave"
		}
		return propagation
	}
	spec.Mounts = slices.Clone(spec.Mounts)
	for i := range spec.Mounts {
		options := slices.Clone(spec.Mounts[i].Options)
		for j := range options {
			options[j] = slave(options[j])
		}
		spec.Mounts[i].Options = options
	}
	if spec.Linux != nil {
		spec.Linux.RootfsPropagation = slave(spec.Linux.RootfsPropagation)
	}
}

// ApplyProcess edits one process, the container's own or one that joins it, so
// that an exec can never have more than the plan gives. The user that a policy
// chose holds for both: an image's HEALTHCHECK is an exec too.
func ApplyProcess(p *specs.Process, pl *plan.Plan) {
	p.NoNewPrivileges = true
	applyCapabilities(p, pl.Process.Capabilities)
	if pl.Process.ChangeUser {
		p.User = specs.User{UID: pl.Process.UID, GID: pl.Process.GID, Umask: p.User.Umask}
	}
	for _, kv := range pl.Process.Environment {
		p.Env = setDefault(p.Env, kv)
	}
}

// applyCapabilities leaves of each set what the plan grants. Ambient and
// inheritable stay empty: what is not asked for cannot be passed on to another
// program (CVE-2022-29162).
func applyCapabilities(p *specs.Process, granted []string) {
	have := p.Capabilities
	if have == nil {
		have = &specs.LinuxCapabilities{}
	}
	keep := func(set []string) []string {
		out := []string{}
		for _, name := range set {
			if slices.Contains(granted, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		return out
	}
	p.Capabilities = &specs.LinuxCapabilities{
		Bounding: keep(have.Bounding), Effective: keep(have.Effective), Permitted: keep(have.Permitted),
		Inheritable: []string{}, Ambient: []string{},
	}
}

// setDefault adds NAME=value unless NAME is set: who sets SSL_CERT_FILE by hand
// means it.
func setDefault(env []string, kv string) []string {
	name, _, _ := strings.Cut(kv, "=")
	for _, have := range env {
		if strings.HasPrefix(have, name+"=") {
			return env
		}
	}
	return append(env, kv)
}

// applySeccomp leaves the bundle's profile as it is, plus the calls of
// nemoclaw-init. An allow that has no arguments is safe to add; a profile that
// names the call with arguments or refuses it keeps its word, and then the
// agent never starts.
func applySeccomp(spec *specs.Spec, p *plan.Plan, fallback *specs.LinuxSeccomp) {
	if spec.Linux == nil {
		spec.Linux = &specs.Linux{}
	}
	if p.Seccomp.First == plan.BackstopProfile {
		spec.Linux.Seccomp = clone(fallback)
	}
	s := spec.Linux.Seccomp
	if s == nil || s.DefaultAction == specs.ActAllow || s.DefaultAction == specs.ActLog {
		return
	}
	named := map[string]bool{}
	for _, rule := range s.Syscalls {
		for _, name := range rule.Names {
			named[name] = true
		}
	}
	var missing []string
	for _, name := range stubCalls {
		if !named[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		s.Syscalls = append(slices.Clone(s.Syscalls), specs.LinuxSyscall{Names: missing, Action: specs.ActAllow})
	}
}

func clone(s *specs.LinuxSeccomp) *specs.LinuxSeccomp {
	if s == nil {
		return nil
	}
	c := *s
	c.Syscalls = slices.Clone(s.Syscalls)
	return &c
}

// Wrap gives the arguments that make nemoclaw-init the program: the one wrap
// for create and exec. The numbers are descriptors inside the container; -1 for
// ruleset means that there is none.
func Wrap(args []string, stub, ruleset, seccomp string) []string {
	return append([]string{"/proc/self/fd/" + stub, stub, ruleset, seccomp}, args...)
}

// WrapHooks puts nemoclaw-init in front of the hooks that execute programs of
// the image inside the container: those of startContainer, which run after the
// agent was released. wrapper is what Wrap gives for no arguments.
func WrapHooks(hooks *specs.Hooks, wrapper []string) *specs.Hooks {
	if hooks == nil || len(hooks.StartContainer) == 0 {
		return hooks
	}
	out := *hooks
	out.StartContainer = slices.Clone(hooks.StartContainer)
	for i := range out.StartContainer {
		h := &out.StartContainer[i]
		args := append(slices.Clone(wrapper), h.Path)
		if len(h.Args) > 1 {
			args = append(args, h.Args[1:]...)
		}
		h.Path, h.Args = wrapper[0], args
	}
	return &out
}
