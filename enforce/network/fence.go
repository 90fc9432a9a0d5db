package network

import (
	"errors"
	"os"
)

// Ports are those of the listeners of one namespace. A zero port means that
// there is no such listener, and that its traffic is refused.
type Ports struct {
	TCP4, TCP6       uint16 // all TCP that leaves
	DNSUDP4, DNSUDP6 uint16 // UDP to port 53
	DNSTCP4, DNSTCP6 uint16 // TCP to port 53
}

// Fence is what the rules of one namespace depend on.
type Fence struct {
	Ports
	// Mark is the SO_MARK of sockets that pass the fence. Never 0.
	Mark uint32
	// IngressTCP are the container's own ports that may be connected to from
	// outside; published ones and those of the policy. Empty: none.
	IngressTCP []uint16
}

// Apply puts the fence into the namespace in one netlink transaction; an
// earlier fence of ours is replaced in the same one. On an error nothing has changed.
func Apply(netns *os.File, f Fence) error { return errors.ErrUnsupported }

// Remove takes the fence out of the namespace; that there is none is no error.
func Remove(netns *os.File) error { return errors.ErrUnsupported }
