// Package network makes the fence: the nftables table that stands in a
// container's network namespace, and the sockets, opened inside that namespace,
// on which the supervisor outside of it receives what the fence redirects.
//
// The fence needs nothing in the image and no interface: everything the agent
// sends to another host is either redirected to one of our sockets or refused,
// and the bottom of every chain is drop (architecture.md, decision 6).
package network
