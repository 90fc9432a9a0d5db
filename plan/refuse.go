package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Refusal is one reason why a container will not be made. It is told to the
// user as it stands: what was asked for, why it is refused, what to do.
type Refusal struct {
	What string
	Why  string
	// Fix is the next step, an imperative sentence without a full stop.
	Fix string
	// At is the policy's line, where there is one.
	At string
}

// Error gives the refusal in one line.
func (r *Refusal) Error() string {
	at := ""
	if r.At != "" {
		at = " (" + r.At + ")"
	}
	return fmt.Sprintf("%s is refused%s: %s; %s", r.What, at, r.Why, r.Fix)
}

// Refusals is every reason that was found, at least one.
type Refusals []*Refusal

// Error gives all of them, one after another.
func (r Refusals) Error() string {
	lines := make([]string, len(r))
	for i, one := range r {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "; ")
}

// Unwrap lets errors.As find each one.
func (r Refusals) Unwrap() []error {
	errs := make([]error, len(r))
	for i, one := range r {
		errs[i] = one
	}
	return errs
}

// undoing are the capabilities that would let a process undo what is enforced:
// the fence (marks, tables, raw packets), Landlock's view of paths, or another
// process's memory. Docker's default set has three of them; they fall away with
// the rest of the default set, but nobody may ask for them.
var undoing = map[string]string{
	"CAP_NET_ADMIN":          "it can flush the fence's tables and set its mark",
	"CAP_NET_RAW":            "raw sockets pass by the fence's redirect",
	"CAP_SYS_ADMIN":          "it can mount, enter namespaces and lift filters",
	"CAP_SYS_PTRACE":         "it can take over other processes",
	"CAP_SYS_MODULE":         "it can change the kernel",
	"CAP_SYS_RAWIO":          "it can reach memory and devices directly",
	"CAP_SYS_BOOT":           "it can stop the host",
	"CAP_SYS_CHROOT":         "it can move /proc/PID/root",
	"CAP_SYS_TIME":           "it can change the host's clock",
	"CAP_BPF":                "it can load programs into the kernel",
	"CAP_PERFMON":            "it can watch the kernel",
	"CAP_DAC_READ_SEARCH":    "it can open files by handle, outside the root",
	"CAP_MAC_ADMIN":          "it can change mandatory access control",
	"CAP_MAC_OVERRIDE":       "it can pass by mandatory access control",
	"CAP_SYSLOG":             "it can read the kernel's addresses",
	"CAP_CHECKPOINT_RESTORE": "it can open other processes' files",
	"CAP_LINUX_IMMUTABLE":    "it can lift append-only marks",
	"CAP_AUDIT_CONTROL":      "it can turn the kernel's audit off",
}

// engineDefault are Docker's default capabilities (moby, oci/caps/defaults.go):
// a container has them without anybody's asking, so they are dropped in silence.
var engineDefault = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
	"CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP",
	"CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// refuse finds what the bundle asks for that no policy can make safe.
func refuse(f *Facts) Refusals {
	var out Refusals
	for _, check := range []func(*Facts) *Refusal{
		refusePrivileged, refuseNetwork, refusePID, refuseMountNamespace, refuseUnconfined, refuseUser,
	} {
		if r := check(f); r != nil {
			out = append(out, r)
		}
	}
	out = append(out, refuseCapabilities(f)...)
	return append(out, refuseMounts(f)...)
}

func refusePrivileged(f *Facts) *Refusal {
	privileged := f.Engine.Privileged ||
		f.Engine.Name == "" && f.Spec.AllDevices && slices.Contains(f.Spec.Capabilities, "CAP_SYS_ADMIN")
	if !privileged || f.Allow.Privileged {
		return nil
	}
	return &Refusal{
		What: "a privileged container", Why: "it has every device and capability of the host, so no policy would hold",
		Fix: "run it without --privileged, or set allow.privileged in the host's configuration",
	}
}

func refuseNetwork(f *Facts) *Refusal {
	switch {
	case f.Spec.Network == NamespaceHost && !f.Allow.HostNetwork:
		return &Refusal{
			What: "the host's network (--network host)", Why: "a fence there would close the host, and none would let the agent out unseen",
			Fix: "leave --network out, or set allow.host_network in the host's configuration",
		}
	case f.Spec.Network == NamespacePath && f.Spec.SharesUnfencedNetwork != 0:
		return &Refusal{
			What: "the network namespace of a container without a fence (--network container:)",
			Why:  fmt.Sprintf("process %d in it would lose its network, or the agent would share its way out", f.Spec.SharesUnfencedNetwork),
			Fix:  "start that container with this runtime too",
		}
	}
	return nil
}

func refusePID(f *Facts) *Refusal {
	if f.Spec.PID != NamespaceHost || f.Allow.HostPID {
		return nil
	}
	return &Refusal{
		What: "the host's process namespace (--pid=host)", Why: "the agent would see, and could signal, every process of the host",
		Fix: "leave --pid out, or set allow.host_pid in the host's configuration",
	}
}

func refuseMountNamespace(f *Facts) *Refusal {
	if f.Spec.Mount == NamespaceNew {
		return nil
	}
	return &Refusal{
		What: "a container without a mount namespace of its own", Why: "read-only mounts would be made on the host",
		Fix: `add {"type": "mount"} to linux.namespaces in config.json`,
	}
}

func refuseUnconfined(f *Facts) *Refusal {
	if f.Allow.Unconfined {
		return nil
	}
	r := &Refusal{
		Why: "the engine's own protection would be off",
		Fix: "leave the option out, or set allow.unconfined in the host's configuration",
	}
	for _, option := range f.Engine.SecurityOptions {
		if strings.HasSuffix(option, "unconfined") {
			r.What = "--security-opt " + option
			return r
		}
	}
	if f.Engine.Name != "" && f.Spec.MaskedPaths == 0 && !f.Engine.Privileged {
		r.What = "--security-opt systempaths=unconfined"
		return r
	}
	return nil
}

func refuseUser(f *Facts) *Refusal {
	return f.SupervisorUIDs.refuse(append([]uint32{f.Spec.UID, f.Spec.GID}, f.Spec.Groups...))
}

// refuse refuses users and groups of which one lies in the range.
func (r UIDRange) refuse(ids []uint32) *Refusal {
	for _, id := range ids {
		if r.Contains(id) {
			return &Refusal{
				What: fmt.Sprintf("user or group %d", id), Why: "the number lies in the range of the supervisors' own users",
				Fix: "choose another --user, or another uid_base in the host's configuration",
			}
		}
	}
	return nil
}

// CheckUser refuses a process that joins as a supervisor's user or group.
func (p *Process) CheckUser(ids ...uint32) error {
	if r := p.Reserved.refuse(ids); r != nil {
		return r
	}
	return nil
}

func refuseCapabilities(f *Facts) Refusals {
	if f.Allow.Privileged {
		return nil
	}
	var names, whys []string
	for _, name := range f.Spec.Capabilities {
		why, bad := undoing[name]
		if !bad || slices.Contains(engineDefault, name) || slices.Contains(f.Allow.Capabilities, name) {
			continue
		}
		if f.Engine.Privileged {
			continue // refused as a whole already
		}
		names, whys = append(names, name), append(whys, why)
	}
	r := &Refusal{Fix: "leave --cap-add out, or list what is needed under allow.capabilities in the host's configuration"}
	switch len(names) {
	case 0:
		return nil
	case 1:
		r.What, r.Why = "capability "+names[0], whys[0]
	default: // a sentence stays one, also after --cap-add ALL
		r.What, r.Why = "each of the capabilities "+strings.Join(names, ", "), "they undo what is enforced, the first because "+whys[0]
	}
	return Refusals{r}
}

func refuseMounts(f *Facts) Refusals {
	var out Refusals
	for _, m := range f.Spec.Mounts {
		switch {
		case m.EngineSocket && !f.Allow.EngineSocket:
			out = append(out, &Refusal{
				What: fmt.Sprintf("mounting %s at %s", m.Source, m.Destination), Why: "whoever can speak to the engine is root on the host",
				Fix: "leave the mount out, or set allow.engine_socket in the host's configuration",
			})
		case m.HostProc && !f.Allow.HostProc:
			out = append(out, &Refusal{
				What: fmt.Sprintf("mounting the host's %s at %s", m.Source, m.Destination), Why: "it shows and changes the host's kernel",
				Fix: "leave the mount out, or set allow.host_proc in the host's configuration",
			})
		}
	}
	return out
}
