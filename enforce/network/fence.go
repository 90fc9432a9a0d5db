package network

import (
	"errors"
	"net/netip"
)

// Ports are those of the listeners of one namespace. A zero port means that
// there is no such listener, and that its traffic is refused.
type Ports struct {
	TCP4, TCP6       uint16 // all TCP that leaves
	DNSUDP4, DNSUDP6 uint16 // UDP to port 53
	DNSTCP4, DNSTCP6 uint16 // TCP to port 53
	// IngressLog is the nfnetlink_log group that hears of connections from
	// outside. 0: they are not recorded, because the kernel cannot.
	IngressLog uint16
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

// natPriority is before Docker's own rules for 127.0.0.11 and before kube-proxy
// (both -100): of several chains on one hook the first that changes a
// destination wins.
const natPriority = -110

// Reasons that more than one chain has.
const (
	whySYN        = "an answer does not open a connection"
	whyAnswers    = "answers to those who connected to us"
	whyNeighbours = "IPv6 finds its neighbours"
)

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
	// listeners4 is where the listeners are, and where a redirection leads.
	listeners4 = netip.MustParsePrefix("127.0.0.1/32")
	// engineDNS is Docker's resolver on user-defined networks. It forwards to
	// the world what it does not know, so an agent that could ask it could send
	// by DNS (CVE-2024-29018 is of this kind).
	engineDNS = netip.MustParsePrefix("127.0.0.11/32")
)

// Rules returns the fence as data; the same Fence gives the same rules.
func Rules(f Fence) *Ruleset {
	return &Ruleset{
		Ingress: sorted(f.IngressTCP),
		Chains: []Chain{
			ownChain(), own6Chain(), refusedChain(), natChain(f),
			outputChain(f), leavingChain(f), inputChain(f),
			{Name: chainFwd, Kind: "filter", Hook: "forward", Drop: true},
		},
	}
}

// check says what is wrong with a fence that would be open or would not load.
func check(f Fence) error {
	if f.Mark == 0 {
		return errors.New("the fence has no mark: every unmarked socket would pass")
	}
	if f.TCP4 == 0 || f.DNSUDP4 == 0 || f.DNSTCP4 == 0 {
		return errors.New("the fence has no listener to redirect to")
	}
	for _, p := range f.IngressTCP {
		if p == 0 {
			return errors.New("port 0 cannot be connected to")
		}
	}
	return nil
}

// ownChain accepts what stays in this namespace.
func ownChain() Chain {
	return Chain{Name: chainOwn, Rules: []Rule{
		rule("the agent's own services", destination(loopback4), accept()),
		rule("the agent's own services", destination(loopback6), accept()),
		rule("at this namespace's own addresses too", ownAddress(false), accept()),
		rule("see own6", family(true), jump(chainOwn6)),
	}}
}

// own6Chain is closed by AddLoopbackRoutes: where the only IPv6 route is a
// local one, every address in the world counts as our own.
func own6Chain() Chain {
	return Chain{Name: chainOwn6, Rules: []Rule{
		rule("at this namespace's own addresses too", ownAddress(true), accept()),
	}}
}

func natChain(f Fence) Chain {
	c := Chain{Name: chainNAT, Kind: "nat", Hook: "output", Priority: natPriority}
	c.Rules = append(c.Rules, rule("the broker's sockets go where they say", mark(f.Mark), accept()))
	// Port 53 before loopback: a resolver on 127.0.0.11 or on ::1 is asked
	// through us as well.
	c.add(f.DNSUDP4, "whichever resolver was meant", family(false), destinationPort(true, 53))
	c.add(f.DNSUDP6, "whichever resolver was meant", family(true), destinationPort(true, 53))
	c.add(f.DNSTCP4, "whichever resolver was meant", family(false), destinationPort(false, 53))
	c.add(f.DNSTCP6, "whichever resolver was meant", family(true), destinationPort(false, 53))
	c.Rules = append(c.Rules, rule("what stays here is not ours", jump(chainOwn)))
	c.add(f.TCP4, "everything else to the supervisor", family(false), anyTCP())
	c.add(f.TCP6, "everything else to the supervisor", family(true), anyTCP())
	return c
}

// add appends a redirection, where there is a listener to redirect to.
func (c *Chain) add(port uint16, why string, parts ...part) {
	if port != 0 {
		c.Rules = append(c.Rules, rule(why, append(parts, redirect(port))...))
	}
}

// refusedChain says no at once instead of after a timeout.
func refusedChain() Chain {
	return Chain{Name: chainRefused, Rules: []Rule{
		rule("refused at once, not after a timeout", anyTCP(), reset()),
		rule("refused at once, not after a timeout", prohibited()),
	}}
}

// outputChain decides by address. It cannot decide by interface: a packet that
// was redirected still bears the one of its first route here.
func outputChain(f Fence) Chain {
	c := Chain{Name: chainOutput, Kind: "filter", Hook: "output", Drop: true}
	c.Rules = []Rule{
		rule("the broker's sockets pass", mark(f.Mark), accept()),
		// By address and for each packet, not for new connections only: the
		// agent can bind a port that a marked socket has just left, and would
		// go on with that socket's connection.
		rule("the engine's resolver, at any port, is not for the agent", destination(engineDNS), refuse()),
	}
	// A listener that is connected to directly does not know what was wanted.
	for _, l := range f.listeners() {
		c.Rules = append(c.Rules, rule("listeners are reached by redirection only",
			destination(l.at), destinationPort(l.udp, l.port), notRedirected(), refuse()))
	}
	c.Rules = append(c.Rules,
		rule("what stays in this namespace", jump(chainOwn)),
		// Else a SYN to an ingress port whose sender is forged would let the
		// agent connect from that port to whom it names.
		rule(whySYN, opens(), refuse()),
		rule(whyAnswers, anyTCP(), established(), isReply(), accept()),
		rule(whyNeighbours, icmpType(true, "nd-neighbor-solicit", 135), accept()),
		rule(whyNeighbours, icmpType(true, "nd-neighbor-advert", 136), accept()),
		rule("nothing else", refuse()),
	)
	return c
}

// leavingChain decides by the interface that a packet really takes. A socket
// bound to a device (SO_BINDTODEVICE needs no privilege) sends even what goes to
// 127.0.0.1, or was redirected there, by that device.
func leavingChain(f Fence) Chain {
	return Chain{Name: chainLeaving, Kind: "filter", Hook: "postrouting", Drop: true, Rules: []Rule{
		rule("what stays in this namespace", outLoopback(), accept()),
		rule("the broker's sockets pass", mark(f.Mark), accept()),
		// Replies only: nothing else that once was accepted becomes a way out.
		rule(whySYN, opens(), drop()),
		rule(whyAnswers, anyTCP(), established(), isReply(), accept()),
		rule(whyNeighbours, icmpType(true, "nd-neighbor-solicit", 135), accept()),
		rule(whyNeighbours, icmpType(true, "nd-neighbor-advert", 136), accept()),
	}}
}

func inputChain(f Fence) Chain {
	c := Chain{Name: chainInput, Kind: "filter", Hook: "input", Drop: true}
	c.Rules = []Rule{
		rule("what stays in this namespace", inLoopback(), accept()),
		// Replies only: a datagram from outside makes no connection here.
		rule("answers to the broker's sockets", established(), isReply(), accept()),
		rule("errors about connections that exist", related(), icmpType(false, "destination-unreachable", 3), accept()),
		rule("errors about connections that exist", related(), icmpType(false, "time-exceeded", 11), accept()),
		rule("errors about connections that exist", related(), icmpv6(), accept()),
		rule(whyNeighbours, icmpType(true, "nd-neighbor-solicit", 135), accept()),
		rule(whyNeighbours, icmpType(true, "nd-neighbor-advert", 136), accept()),
	}
	if len(f.IngressTCP) > 0 && f.IngressLog != 0 {
		c.Rules = append(c.Rules, rule("recorded", inSet(setIngress), isNew(), logTo(f.IngressLog)))
	}
	if len(f.IngressTCP) > 0 {
		c.Rules = append(c.Rules, rule("published ports and the policy's ingress", inSet(setIngress), accept()))
	}
	return c
}

// listener is one of our own sockets as the rules see it.
type listener struct {
	at   netip.Prefix
	udp  bool
	port uint16
}

func (p Ports) listeners() []listener {
	all := []listener{
		{listeners4, false, p.TCP4}, {loopback6, false, p.TCP6},
		{listeners4, true, p.DNSUDP4}, {loopback6, true, p.DNSUDP6},
		{listeners4, false, p.DNSTCP4}, {loopback6, false, p.DNSTCP6},
	}
	var have []listener
	for _, l := range all {
		if l.port != 0 {
			have = append(have, l)
		}
	}
	return have
}
