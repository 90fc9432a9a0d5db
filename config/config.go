// Package config reads the host's configuration, /etc/nemoclaw/config.yaml.
//
// The file is the operator's and trusted, but read strictly: an unknown key, a
// key given twice, an alias or a value of the wrong type is an error that names
// file, line and column, shows the line, and says what to do. An absent file
// means the defaults of Default; an absent key means that key's default.
package config

import (
	"net/netip"
)

// DefaultPath is where Load looks when it is given no path.
const DefaultPath = "/etc/nemoclaw/config.yaml"

// What is done with an image's own policy (Config.ImagePolicy).
const (
	ImagePolicyHonour = "honour" // used, narrowed to the ceiling
	ImagePolicySigned = "signed" // used only with a signature that the operator trusts
	ImagePolicyIgnore = "ignore" // never looked at
)

// What is done when this kernel cannot enforce a part of the plan
// (Config.OnUnenforceable).
const (
	Refuse = "refuse" // the container is not created
	Warn   = "warn"   // it is created; the plan's Weaker list, the audit log and inspect say so
)

// Config is the host's configuration. Its zero value is not usable: start from
// Default or Load. All paths are absolute and clean.
type Config struct {
	RunDir    string // sockets and state of running sandboxes, lost at reboot; run_dir
	StateDir  string // what outlives a reboot; state_dir
	LogDir    string // audit logs, in sandboxes/<container id>.jsonl; log_dir
	PolicyDir string // policies that can be named; policy_dir

	DefaultPolicy string // file for containers that nothing else gives a policy; "": the built-in one
	Ceiling       string // file that every image's policy is narrowed to; "": the built-in one

	ImagePolicy     string   // ImagePolicyHonour (default), ImagePolicySigned or ImagePolicyIgnore
	ImagePolicyKeys []string // files of Ed25519 public keys (PEM) that ImagePolicySigned trusts; image_policy_keys
	OnUnenforceable string   // Refuse (default) or Warn

	DNS    DNS
	TLS    TLS
	Images []ImageRule // in the order of the file; the first that matches counts
	Allow  Allow

	LibexecDir string // where nemoclaw-init, -supervisor and -broker are; "": see Helper; libexec_dir
	UIDBase    uint32 // first of the UIDCount uids that supervisors run under

	Source string // the file this came from; "" for built-in defaults
}

// UIDCount is how many uids, from Config.UIDBase on, belong to supervisors. No
// process of a container may run under one of them.
const UIDCount = 65536

// DNS configures name resolution for sandboxes.
type DNS struct {
	// Servers are the upstream resolvers that the supervisor asks, after the
	// verdict; empty: those of the host's resolv.conf.
	Servers []netip.AddrPort
	// Pool is where the addresses come from that a sandbox gets for names. It is
	// never routed. The default, 28.192.0.0/16, passes for ordinary unicast with
	// the filters that agents have against request forgery.
	Pool netip.Prefix
}

// TLS configures connections that the supervisor makes on a sandbox's behalf.
type TLS struct {
	UpstreamCAFile string // PEM roots to trust upstream; "": the host's
}

// ImageRule gives images whose reference matches Image the operator's policy.
type ImageRule struct {
	Image  string // glob over the reference as the engine records it; * does not cross /
	Policy string // name in PolicyDir, or absolute path
	Line   int    // of the rule in the file
}

// Allow lists what is refused by default because it undoes the fence or hands
// the host to the container. The zero value refuses everything.
type Allow struct {
	HostNetwork  bool     // --network host, or a container's network that has no fence
	HostPID      bool     // --pid=host
	Privileged   bool     // --privileged
	Unconfined   bool     // seccomp=unconfined or apparmor=unconfined
	EngineSocket bool     // an engine's socket mounted in
	HostProc     bool     // the host's /proc or /sys mounted in
	Capabilities []string // CAP_… names that may be added though they would undo the fence
}
