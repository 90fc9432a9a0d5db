package plan

import "github.com/nemoclaw/nemoclaw/policy"

// Facts is what was found out about one container, its image and this host
// before anything was decided. It holds no handles and is never changed.
type Facts struct {
	ID     string
	Bundle string
	Root   string // absolute on the host

	// LandlockABI is the kernel's; 0: none.
	LandlockABI int
	// RefuseUnenforceable is the host's on_unenforceable: refuse.
	RefuseUnenforceable bool
	// Allow is what the operator's configuration allows beyond the default.
	Allow Allow

	Spec   Spec
	Engine Engine
	// RunAs is what process.run_as_user and run_as_group name in the image.
	RunAs User
	// TrustBundles are the certificate bundles that the image has, of those
	// that are known, in the image's own paths, links resolved.
	TrustBundles []string
	// SupervisorUIDs is the range of uids that no agent may have.
	SupervisorUIDs UIDRange
}

// Allow lifts single refusals. The zero value lifts none.
type Allow struct {
	HostNetwork  bool
	HostPID      bool
	Privileged   bool
	Unconfined   bool
	EngineSocket bool
	HostProc     bool
	// Capabilities may be added beyond those of the default set, CAP_ names.
	Capabilities []string
}

// Spec is what of the bundle's config.json decides anything.
type Spec struct {
	Cwd      string
	UID, GID uint32
	Groups   []uint32 // additional ones
	// Capabilities are those of the bounding set, CAP_ names.
	Capabilities []string
	// Seccomp says that the bundle brings a profile; SeccompAllowAll that the
	// profile's default lets every call pass.
	Seccomp bool
	// MaskedPaths counts linux.maskedPaths; an engine that masks none runs
	// with system paths unconfined.
	MaskedPaths int
	// Network, PID, Mount and IPC say where each namespace comes from.
	Network, PID, Mount, IPC Namespace
	// UserNamespace says that the bundle maps users.
	UserNamespace bool
	// SharesUnfencedNetwork names a process, outside every fence, that lives
	// in the network namespace given by path. 0: none.
	SharesUnfencedNetwork int
	Mounts                []Mount
	// AllDevices says that linux.resources.devices allows every device.
	AllDevices bool
	// PrivateDev says that /dev is a tmpfs of the container's own.
	PrivateDev bool
	// RootWritable says that the root file system is mounted for writing.
	RootWritable bool
}

// Namespace says where a namespace comes from.
type Namespace string

// The sources of a namespace.
const (
	NamespaceNew  Namespace = "new"
	NamespacePath Namespace = "path" // one that exists, by its path
	NamespaceHost Namespace = "host" // the runtime's own
)

// Mount is one mount of the bundle.
type Mount struct {
	Destination string
	Type        string // proc, tmpfs, bind, …
	Source      string // on the host, of a bind
	ReadOnly    bool
	// Operator says that the person who runs the container asked for it (-v,
	// --mount, --tmpfs), and neither the image nor the engine's own habits.
	Operator bool
	// EngineSocket says that Source is, or is a directory above, a socket of
	// an engine on this host.
	EngineSocket bool
	// HostProc says that Source is a proc or sys file system of the host.
	HostProc bool
}

// Engine is what the engine's record says.
type Engine struct {
	// Name is docker. Empty: no record, a plain bundle.
	Name string
	// SecurityOptions are the engine's, such as seccomp=unconfined.
	SecurityOptions []string
	Privileged      bool
	// Published are the container's ports that the operator published.
	Published []uint16
}

// User is a user and group of the image by number.
type User struct {
	UID, GID uint32
	// Found says that the names were found, or were numbers.
	Found bool
	// Problem says why not.
	Problem string
}

// UIDRange is First and Count uids after it.
type UIDRange struct {
	First uint32 `json:"first"`
	Count uint32 `json:"count"`
}

// Contains reports whether uid lies in the range.
func (r UIDRange) Contains(uid uint32) bool {
	return uid >= r.First && uint64(uid) < uint64(r.First)+uint64(r.Count)
}

// Input is everything that Resolve decides from.
type Input struct {
	Policy  Document
	Ceiling Document
	// Effective is the intersection of the two, Clamped what it took away.
	Effective *policy.Document
	Clamped   []policy.Clamp
	Facts     Facts
}
