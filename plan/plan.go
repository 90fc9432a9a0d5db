// Package plan turns a policy and the facts of one container into the one page
// that says what will be done. Resolve is pure: it looks at nothing but its
// arguments, and the same arguments give the same Plan, byte for byte. All that
// comes after (spec edits, rulesets, fence, supervisor) carries a Plan out and
// decides nothing.
//
// A Plan is written as plan.json before the container exists. Each of its items
// names the line of policy that it came from, or the rule of the runtime.
package plan

import "github.com/nemoclaw/nemoclaw/policy"

// Version is the version of plan.json that this package writes.
const Version = 1

// Plan is what will be done for one container. Its JSON is plan.json.
type Plan struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Bundle is the OCI bundle's directory, Root the container's root file
	// system, both absolute on the host.
	Bundle string `json:"bundle"`
	Root   string `json:"root"`

	// Policy is the document that was chosen, Ceiling what clamps it (no Name:
	// nothing does). Effective is their intersection, which is in force.
	Policy    Document         `json:"policy"`
	Ceiling   Document         `json:"ceiling"`
	Effective *policy.Document `json:"effective"`

	Filesystem Filesystem `json:"filesystem"`
	Process    Process    `json:"process"`
	Seccomp    Seccomp    `json:"seccomp"`
	Network    Network    `json:"network"`
	Trust      Trust      `json:"trust"`

	// Weaker lists what is enforced less strictly than the policy says, and
	// why. Empty: nothing.
	Weaker []Weakening `json:"weaker"`
	// Clamped lists what the ceiling took away from the policy.
	Clamped []policy.Clamp `json:"clamped"`
}

// Origin says where a policy document came from.
type Origin string

// The origins, the strongest first.
const (
	FromAnnotation Origin = "annotation"    // the operator's annotation on the run command
	FromRunLabel   Origin = "run_label"     // a label of the run command, not of the image
	FromImageMap   Origin = "image_map"     // the host's configuration, by the image's name
	FromImageLabel Origin = "image_label"   // the image's label
	FromImageFile  Origin = "image_file"    // a file in the image
	FromHost       Origin = "host_default"  // default_policy of the host's configuration
	FromBuiltin    Origin = "built_in"      // nothing was given
	FromCeiling    Origin = "host_ceiling"  // ceiling of the host's configuration
	FromBuiltinMax Origin = "built_in_ceil" // the ceiling for what an image asks
)

// Untrusted reports whether a document of this origin is the image author's
// word and not the operator's (threats.md: an image is hostile input).
func (o Origin) Untrusted() bool { return o != FromAnnotation && !o.operators() }

func (o Origin) operators() bool {
	switch o {
	case FromRunLabel, FromImageMap, FromHost, FromBuiltin, FromCeiling, FromBuiltinMax:
		return true
	}
	return false
}

// Document is a policy document and where it came from.
type Document struct {
	Origin Origin `json:"origin"`
	// Name stands in every position: a path, or label:io.nemoclaw.policy.
	Name string `json:"name"`
	// Digest is sha256:HEX of Text.
	Digest string `json:"digest"`
	Text   string `json:"text,omitempty"`
}

// Source is why an item is in the plan.
type Source struct {
	// At is file:line of the policy. Empty: the runtime's own rule.
	At string `json:"at,omitempty"`
	// Why is one clause, lower case, no full stop.
	Why string `json:"why"`
}

// Access is what a path rule grants.
type Access string

// The accesses. Each is a set of Landlock rights that depends on the ABI and
// on whether the path is a directory; package enforce/landlock knows them.
const (
	ReadOnly  Access = "read_only"  // read, list, execute
	ReadWrite Access = "read_write" // all of it but ioctl on devices
	Device    Access = "device"     // read, write and ioctl of a device node
)

// PathRule grants access below one path of the container.
type PathRule struct {
	// Path is absolute in the container.
	Path   string `json:"path"`
	Access Access `json:"access"`
	// Optional says that a path that does not exist is left out (and told)
	// where a rule that is not optional makes the create fail.
	Optional bool   `json:"optional,omitempty"`
	From     Source `json:"from"`
}

// ReadOnlyMount makes a path read-only by a mount, because Landlock adds rights
// up along a path: read-only under read-write would not hold.
type ReadOnlyMount struct {
	Path string `json:"path"`
	From Source `json:"from"`
}

// Filesystem is what Landlock, and mounts where it can't, will hold.
type Filesystem struct {
	// ABI is the Landlock ABI that is used; 0: no Landlock, see Weaker.
	ABI            int             `json:"landlock_abi"`
	Rules          []PathRule      `json:"rules"`
	ReadOnlyMounts []ReadOnlyMount `json:"read_only_mounts,omitempty"`
	// ReadOnlyRoot makes the root file system read-only but for the writable
	// paths, each of which becomes a mount of its own: Landlock does not govern
	// chmod, chown, utime and xattrs, a mount does. False: it is read-only already.
	ReadOnlyRoot bool `json:"read_only_root"`
}

// Process is what the agent's processes run with.
type Process struct {
	// UID and GID are the user's, in the container.
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
	// ChangeUser says that policy chose the user, and not the bundle.
	ChangeUser bool   `json:"change_user,omitempty"`
	From       Source `json:"from"`
	// Reserved are the supervisors' users, which no process of the container
	// may have, nor a group of the same number.
	Reserved UIDRange `json:"reserved"`
	// Capabilities is every capability that is left in any set, CAP_ names,
	// sorted. NoNewPrivileges is always set.
	Capabilities []string `json:"capabilities"`
	// Environment holds variables that are set for the agent, NAME=value.
	Environment []string `json:"environment,omitempty"`
}

// Profile says which seccomp profile is the first of the two.
type Profile string

// The profiles.
const (
	EngineProfile   Profile = "engine"   // the bundle's own, as given, plus landlock_restrict_self
	BackstopProfile Profile = "backstop" // a small one of ours, because the bundle has none
)

// Seccomp says which programs the agent runs under. The second one is always
// our own.
type Seccomp struct {
	First Profile `json:"first"`
	From  Source  `json:"from"`
}

// Fence is what is done about the network namespace.
type Fence string

// The fences.
const (
	FenceNew    Fence = "new"    // the namespace is this container's own
	FenceJoin   Fence = "join"   // the namespace is given by path: fenced already, or fenced now
	FenceAbsent Fence = "absent" // the host's network, which the operator's configuration allowed
)

// Port is a port of the container.
type Port struct {
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"` // tcp
	From     Source `json:"from"`
}

// Network is what may come in, and how what goes out is held.
type Network struct {
	Fence Fence `json:"fence"`
	// Ingress are the ports that new connections from outside may reach.
	Ingress []Port `json:"ingress"`
	// Policed says that egress is decided on by a supervisor. False only with FenceAbsent.
	Policed bool `json:"policed"`
	// Rules names the network rules in force, for people.
	Rules []NetworkRule `json:"rules"`
}

// NetworkRule is one rule of the policy, in short.
type NetworkRule struct {
	Name  string   `json:"name"`
	Hosts []string `json:"hosts"`
	From  Source   `json:"from"`
}

// Trust is how the agent's programs come to trust the sandbox's own authority.
type Trust struct {
	// Bundles are the certificate bundles of the image that are mounted over.
	Bundles []string `json:"bundles,omitempty"`
	// Certificate is the path in the container of the authority alone. Empty:
	// there is no network to inspect.
	Certificate string `json:"certificate,omitempty"`
}

// Weakening is one thing that holds less than the policy says.
type Weakening struct {
	What string `json:"what"`
	Why  string `json:"why"`
	At   string `json:"at,omitempty"`
}
