package seccomp

import "slices"

// The filters of our own processes on the host. Both are Go programs without
// cgo; what their runtime needs is the same.

// Supervisor is nemoclaw-supervisor's own filter. It parses what the agent and
// servers send, so it may least of all: descriptors that it has, sockets of the
// Internet's families, threads. It executes nothing and makes no process.
func Supervisor() Filter {
	return Filter{Name: "supervisor", Default: Errno(ePERM), Rules: slices.Concat(
		hostSockets(),
		[]Rule{
			{Calls: []string{"clone3"}, Action: Errno(eNOSYS), Why: "its flags lie behind a pointer"},
			{Calls: []string{"clone"}, When: []Condition{{Arg: 0, Mask: cloneThread | namespaces, Value: cloneThread}},
				Action: Allow, Why: "threads; no processes"},
		},
		hostRuntime(),
	)}
}

// Broker is nemoclaw-broker's own filter, loaded when its mount namespace and
// listeners are made. It also stands over each supervisor, which starts under
// it, so that it has what the supervisor's start needs.
func Broker() Filter {
	yes := func(why string, calls ...string) Rule { return Rule{Calls: calls, Action: Allow, Why: why} }
	return Filter{Name: "broker", Default: Errno(ePERM), Rules: slices.Concat(
		hostSockets(),
		[]Rule{
			{Calls: []string{"clone3"}, Action: Errno(eNOSYS), Why: "its flags lie behind a pointer"},
			{Calls: []string{"clone"}, When: []Condition{has(0, namespaces)}, Action: Errno(ePERM),
				Why: "the supervisor's mount namespace is there already, and no other is made"},
			yes("threads, and the supervisor", "clone"),
			{Calls: []string{"setns"}, When: []Condition{is(1, cloneNewNet)}, Action: Allow,
				Why: "opens sockets in the container's network namespace, and enters no other kind"},
			yes("starting the supervisor, and ending it", "execve", "wait4", "waitid", "pidfd_open", "pidfd_send_signal",
				"kill", "setuid", "setgid", "setgroups", "setsid", "chdir", "dup2", "dup3", "prctl"),
			yes("the supervisor's start", "seccomp", "landlock_create_ruleset", "landlock_restrict_self", "readlinkat"),
			yes("who holds a socket: the processes' directories in /proc", "readlink", "getdents64"),
			yes("the slot's control socket and status, taken away at the end", "unlinkat", "rename", "renameat", "renameat2"),
			yes("the slot's cgroup, taken away at the end", "statfs"),
		},
		hostRuntime(),
	)}
}

const (
	cloneThread = 0x00010000
	cloneNewNet = 0x40000000
)

func hostSockets() []Rule {
	socket := []string{"socket"}
	kind := func(t uint32) Condition { return Condition{Arg: 1, Mask: sockTypeMask, Value: t} }
	rules := []Rule{
		{Calls: []string{"socketpair"}, When: []Condition{is(0, 1)}, Action: Allow, Why: "the two of ours talk by one"},
		{Calls: socket, When: []Condition{is(0, 1)}, Action: Allow, Why: "control sockets"},
	}
	for _, family := range []uint32{2, 10} {
		for _, t := range []uint32{1, 2} {
			rules = append(rules, Rule{Calls: socket, When: []Condition{is(0, family), kind(t)}, Action: Allow,
				Why: "upstream connections and questions to resolvers"})
		}
	}
	rules = append(rules, Rule{Calls: socket, When: []Condition{is(0, 16), is(2, 0)}, Action: Allow,
		Why: "rtnetlink: this host's own addresses, which are never dialled"})
	return append(rules, Rule{Calls: socket, Action: Errno(eAFNOSUPPORT), Why: "nothing else"})
}

// hostRuntime is what a Go program with open descriptors calls.
func hostRuntime() []Rule {
	yes := func(why string, calls ...string) Rule { return Rule{Calls: calls, Action: Allow, Why: why} }
	return []Rule{
		yes("descriptors", "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "close", "close_range",
			"fcntl", "dup", "flock", "fsync", "fdatasync", "fstat", "pipe2", "splice", "sendfile", "openat", "newfstatat", "ioctl"),
		yes("waiting", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "poll", "ppoll", "futex",
			"nanosleep", "clock_nanosleep", "restart_syscall", "sched_yield", "pause"),
		// No listen: what listens was opened before, by others.
		yes("what sockets do", "accept4", "connect", "shutdown", "getsockname", "getpeername", "getsockopt",
			"setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "bind"),
		yes("memory", "mmap", "munmap", "mprotect", "madvise", "mremap", "mincore", "brk"),
		yes("threads and signals", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "gettid",
			"getpid", "getppid", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "arch_prctl", "membarrier",
			"sched_getaffinity", "exit", "exit_group", "timer_create", "timer_settime", "timer_delete", "setitimer"),
		yes("oneself, time, randomness", "getuid", "geteuid", "getgid", "getegid", "getrlimit", "setrlimit", "prlimit64",
			"getrusage", "uname", "clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom"),
	}
}
