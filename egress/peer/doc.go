// Package peer finds the socket at the other end of a redirected connection: its
// inode, by which the broker finds the processes that hold it, and its owner.
//
// It asks the kernel's sock_diag (sock_diag(7)) on a netlink socket that was
// opened inside the container's network namespace and works there from anywhere,
// without privilege.
package peer
