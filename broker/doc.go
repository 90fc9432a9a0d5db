// Package broker is nemoclaw-broker put together: the small privileged process
// beside each supervisor. It does what the supervisor may not, over a closed
// vocabulary (sandbox.Frame), and never reads a byte that an agent has sent:
//
//   - says which processes of the sandbox's containers hold a socket;
//   - opens marked sockets in the container's network namespace;
//   - starts the supervisor, and starts it again when it dies, with the sockets
//     and tables that it keeps for it. Meanwhile nobody answers on them, and the
//     network is closed.
//
// The runtime talks to it over control.sock in the slot's directory (root only)
// and ends it by removing the last container. When the broker dies, the
// supervisor dies with it.
//
// Start-up, in order (start.go): cgroup, inputs, control socket, the empty mount
// namespace for the supervisor, capabilities, seccomp, supervisor. What it keeps
// after that is CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (to look into /proc),
// CAP_SYS_ADMIN (setns), CAP_NET_ADMIN (SO_MARK), and CAP_SETUID, CAP_SETGID,
// CAP_KILL (the supervisor's other uid).
package broker
