package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// loopbackMetric makes our routes the last choice, should the engine add one of
// its own later (`docker network connect`).
const loopbackMetric = 4000000000

// LoopbackUp sets the namespace's loopback interface up, where it is not.
func LoopbackUp(netns *os.File) error {
	err := routes(netns, func(c *netlink.Conn) error {
		// struct ifinfomsg: family, pad, type, index, flags, change
		m := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(m[4:], loopback)
		binary.NativeEndian.PutUint32(m[8:], unix.IFF_UP)
		binary.NativeEndian.PutUint32(m[12:], unix.IFF_UP)
		return request(c, unix.RTM_NEWLINK, 0, m)
	})
	if err != nil {
		return fmt.Errorf("setting lo up in %s: %w", netns.Name(), err)
	}
	return nil
}

// AddLoopbackRoutes gives a namespace something to redirect: connect(2) answers
// ENETUNREACH before any rule is asked where there is no route at all. IPv4
// gets a default route by lo where it has none; IPv6 only where lo is the only
// interface, because there it has to be a local route, under which every
// address is the namespace's own. It reports whether lo is the only interface.
//
// To be called at start, when the engine has made its interfaces: Docker's own
// default route would fail beside one that is there before it. It must come
// after Apply: it takes the fence's rule for own IPv6 addresses out of force.
func AddLoopbackRoutes(netns *os.File) (bool, error) {
	var alone bool
	err := routes(netns, func(c *netlink.Conn) error {
		var err error
		if alone, err = onlyLoopback(c); err != nil {
			return fmt.Errorf("listing the interfaces: %w", err)
		}
		has, err := hasDefault4(c)
		if err != nil {
			return fmt.Errorf("listing the routes: %w", err)
		}
		if !has {
			if err := addDefault4(c); err != nil {
				return fmt.Errorf("adding an IPv4 route by lo: %w", err)
			}
		}
		if !alone {
			return nil
		}
		// First the rule: there must be no moment in which the route makes
		// every address own and the rule accepts own addresses.
		if err := closeOwn6(); err != nil {
			return fmt.Errorf("closing the chain %s: %w", chainOwn6, err)
		}
		if err := addLocal6(c); err != nil {
			return fmt.Errorf("adding an IPv6 route by lo: %w", err)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("adding routes in %s: %w", netns.Name(), err)
	}
	return alone, nil
}

// routes runs f inside the namespace with a NETLINK_ROUTE socket.
func routes(netns *os.File, f func(*netlink.Conn) error) error {
	return in(netns, func() error {
		c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		return errors.Join(f(c), c.Close())
	})
}

// request sends one message and waits for its acknowledgement.
func request(c *netlink.Conn, kind uint16, flags netlink.HeaderFlags, data []byte) error {
	_, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   data,
	})
	return err
}

func dump(c *netlink.Conn, kind uint16, data []byte) ([]netlink.Message, error) {
	return c.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request | netlink.Dump},
		Data:   data,
	})
}

// inert are the interfaces that the kernel itself puts into every new namespace
// where their modules are loaded. None leads anywhere; all are down.
func inert(flags uint32) bool { return flags&unix.IFF_UP == 0 }

func onlyLoopback(c *netlink.Conn) (bool, error) {
	links, err := dump(c, unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return false, err
	}
	for _, l := range links {
		if len(l.Data) < unix.SizeofIfInfomsg {
			continue
		}
		index := binary.NativeEndian.Uint32(l.Data[4:])
		flags := binary.NativeEndian.Uint32(l.Data[8:])
		if index != loopback && !inert(flags) {
			return false, nil
		}
	}
	return true, nil
}

// rtmsg is the head of a route message (struct rtmsg, rtnetlink(7)).
func rtmsg(family, dstLen, kind byte) []byte {
	return []byte{family, dstLen, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, kind, 0, 0, 0, 0}
}

func hasDefault4(c *netlink.Conn) (bool, error) {
	all, err := dump(c, unix.RTM_GETROUTE, rtmsg(unix.AF_INET, 0, 0))
	if err != nil {
		return false, err
	}
	for _, r := range all {
		if len(r.Data) >= unix.SizeofRtMsg && r.Data[0] == unix.AF_INET && r.Data[1] == 0 && r.Data[4] == unix.RT_TABLE_MAIN {
			return true, nil
		}
	}
	return false, nil
}

// addDefault4 adds `default dev lo src 127.0.0.1 metric 4000000000`. Without
// the source, packets would leave with 0.0.0.0 and no answer would find back.
func addDefault4(c *netlink.Conn) error {
	e := netlink.NewAttributeEncoder()
	e.Uint32(unix.RTA_OIF, loopback)
	e.Uint32(unix.RTA_PRIORITY, loopbackMetric)
	e.Bytes(unix.RTA_PREFSRC, listeners4.Addr().AsSlice())
	return addRoute(c, rtmsg(unix.AF_INET, 0, unix.RTN_UNICAST), e)
}

// addLocal6 adds `local default dev lo metric 4000000000`. It has to be local:
// the kernel turns any other IPv6 route by lo into a refusal.
func addLocal6(c *netlink.Conn) error {
	e := netlink.NewAttributeEncoder()
	e.Uint32(unix.RTA_OIF, loopback)
	e.Uint32(unix.RTA_PRIORITY, loopbackMetric)
	err := addRoute(c, rtmsg(unix.AF_INET6, 0, unix.RTN_LOCAL), e)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return nil // IPv6 is off in this kernel or namespace: nothing to route
	}
	return err
}

func addRoute(c *netlink.Conn, head []byte, e *netlink.AttributeEncoder) error {
	attributes, err := e.Encode()
	if err != nil {
		return err
	}
	err = request(c, unix.RTM_NEWROUTE, netlink.Create|netlink.Excl, append(head, attributes...))
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// closeOwn6 makes the fence's chain own6 return at its head; without a fence
// there is nothing to do. Deleting its rule would make the kernel wait (Apply).
func closeOwn6() error {
	b := newBatch()
	b.rule(chainOwn6, rule("lo is the only interface: every address is own", leave()), true)
	if err := b.commit(); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
