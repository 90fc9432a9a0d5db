package seccomp

import "slices"

// Agent is the filter that nemoclaw-init loads before the agent's program.
//
// It starts from what Docker's default profile (github.com/moby/profiles,
// seccomp v0.2.4) allows to a container without capabilities, as a test checks
// call by call, and takes away what an agent need not have. The 32-bit and x32
// entries are refused altogether, by package compile: their socketcall(2)
// carries its arguments behind a pointer, past every filter.
func Agent() Filter {
	return Filter{
		Name:    "agent",
		Default: Errno(ePERM),
		Rules:   slices.Concat(agentRefused(), agentSockets(), agentConditional(), agentAllowed()),
	}
}

// agentRefused are calls that somebody might expect to find allowed. All of
// them would be refused by Default too; they stand here for their reasons, and
// so that an addition below cannot undo one.
func agentRefused() []Rule {
	no := func(why string, calls ...string) Rule {
		return Rule{Calls: calls, Action: Errno(ePERM), Why: why}
	}
	return []Rule{
		{Calls: []string{"clone3"}, Action: Errno(eNOSYS),
			Why: "its flags lie behind a pointer; C libraries fall back to clone"},
		no("reads and changes other processes: the one beside it may hold another domain",
			"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise"),
		no("takes descriptors out of other processes", "pidfd_getfd", "kcmp"),
		no("kernel keyrings are not separated by container", "add_key", "request_key", "keyctl"),
		no("runs what no filter sees", "io_uring_setup", "io_uring_enter", "io_uring_register"),
		no("programs in the kernel", "bpf"),
		no("measures what happens outside of the container", "perf_event_open", "lookup_dcookie"),
		no("stops the kernel in the middle of a copy: the means of many an escape", "userfaultfd"),
		no("the plan's read-only mounts must stay", "mount", "umount2", "pivot_root", "chroot", "mount_setattr",
			"move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick"),
		no("another namespace is another network", "setns"),
		no("opens files by handle, past the path that Landlock looks at", "open_by_handle_at"),
		no("selects x86 segments: an old source of kernel bugs, for programs of 16 bits", "modify_ldt"),
		no("the machine, not the container", "reboot", "kexec_load", "kexec_file_load", "init_module",
			"finit_module", "delete_module", "iopl", "ioperm", "swapon", "swapoff", "acct", "syslog", "quotactl",
			"quotactl_fd", "settimeofday", "clock_settime", "sethostname", "setdomainname", "vhangup"),
		no("sees every file of a mount", "fanotify_init"),
		no("moves memory of other processes", "move_pages", "migrate_pages"),
		no("changes where memory lies; Docker allows it with CAP_SYS_NICE only", "mbind", "set_mempolicy",
			"get_mempolicy", "set_mempolicy_home_node"),
	}
}

// agentConditional are calls that are allowed or refused by their arguments.
func agentConditional() []Rule {
	const (
		tiocsti   = 0x5412 // asm-generic/ioctls.h
		tioclinux = 0x541c
	)
	personality := Rule{Calls: []string{"personality"}, Action: Allow, Why: "as Docker: Linux, its 32-bit and old-uname forms, and asking"}
	rules := []Rule{
		{Calls: []string{"ioctl"}, When: []Condition{is(1, tiocsti)}, Action: Errno(ePERM),
			Why: "types into the terminal of whoever ran docker run -it"},
		{Calls: []string{"ioctl"}, When: []Condition{is(1, tioclinux)}, Action: Errno(ePERM),
			Why: "pastes into a virtual console"},
		{Calls: []string{"ioctl"}, Action: Allow, Why: "devices; Landlock decides which"},
		{Calls: []string{"clone"}, When: []Condition{has(0, namespaces)}, Action: Errno(ePERM),
			Why: "user namespaces open kernel code that is closed to an ordinary user, and the others follow them"},
		{Calls: []string{"clone"}, Action: Allow, Why: "processes and threads"},
		{Calls: []string{"unshare"}, When: []Condition{has(0, namespacesByName)}, Action: Errno(ePERM),
			Why: "as for clone"},
		{Calls: []string{"unshare"}, Action: Allow, Why: "a thread's own working directory or descriptors"},
	}
	for _, p := range []uint32{0, 8, 0x20000, 0x20008, all32} {
		r := personality
		r.When = []Condition{is(0, p)}
		rules = append(rules, r)
	}
	return rules
}

// agentSockets decides about socket(2) and socketpair(2) by allow-list. What is
// not in it answers as on a kernel that was built without it, so that programs
// take their other way.
func agentSockets() []Rule {
	const (
		unix, inet, inet6, netlink = 1, 2, 10, 16
		stream, dgram              = 1, 2
		tcp, udp                   = 6, 17
	)
	socket := []string{"socket"}
	kind := func(t uint32) Condition { return Condition{Arg: 1, Mask: sockTypeMask, Value: t} }
	rules := []Rule{
		{Calls: socket, When: []Condition{is(0, unix)}, Action: Allow, Why: "local services; Landlock decides which"},
		{Calls: []string{"socketpair"}, When: []Condition{is(0, unix)}, Action: Allow, Why: "pipes that go both ways"},
		{Calls: []string{"socketpair"}, Action: Errno(eAFNOSUPPORT), Why: "no other family is needed (TIPC has pairs)"},
		// glibc's getaddrinfo opens this one as SOCK_RAW.
		{Calls: socket, When: []Condition{is(0, netlink), is(2, 0)}, Action: Allow,
			Why: "NETLINK_ROUTE: which interfaces and addresses there are"},
		{Calls: socket, When: []Condition{is(0, netlink)}, Action: Errno(ePROTONOSUPPORT),
			Why: "the other netlink protocols are the kernel's configuration (netfilter, audit, crypto, xfrm)"},
	}
	for _, family := range []uint32{inet, inet6} {
		for _, protocol := range []uint32{0, tcp} {
			rules = append(rules, Rule{Calls: socket, When: []Condition{is(0, family), kind(stream), is(2, protocol)},
				Action: Allow, Why: "TCP; the fence decides where to"})
		}
		for _, protocol := range []uint32{0, udp} {
			rules = append(rules, Rule{Calls: socket, When: []Condition{is(0, family), kind(dgram), is(2, protocol)},
				Action: Allow, Why: "UDP; the fence lets DNS and what stays inside"})
		}
		rules = append(rules,
			Rule{Calls: socket, When: []Condition{is(0, family), kind(stream)}, Action: Errno(ePROTONOSUPPORT),
				Why: "SCTP, DCCP and the like; of MPTCP the policy sees one path of several"},
			Rule{Calls: socket, When: []Condition{is(0, family), kind(dgram)}, Action: Errno(ePROTONOSUPPORT),
				Why: "ping sockets, UDP-Lite, L2TP"},
			Rule{Calls: socket, When: []Condition{is(0, family)}, Action: Errno(ePERM),
				Why: "raw and packet sockets make packets by hand"})
	}
	return append(rules, Rule{Calls: socket, Action: Errno(eAFNOSUPPORT),
		Why: "every other family: AF_ALG (kernel CVE-2026-31431), AF_VSOCK (reaches the host past the network), AF_PACKET, AF_XDP, AF_KEY, and old protocols"})
}
