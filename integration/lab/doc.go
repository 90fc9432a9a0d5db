// Package lab builds the world that engine tests run in: a private internet, a
// network and mount namespace with an engine of its own in it, images without a
// registry, and a before/after comparison of what is left behind.
//
// Nothing here touches the machine's own engine, routes or /etc. The internet
// is a network namespace with addresses of 198.51.100.0/24 and 2001:db8::/32
// (documentation addresses, which the dial guard takes for public ones), a DNS
// server, HTTP and HTTPS servers with a private CA, echo servers, and a packet
// recorder on the wire between it and the engine. The engine's namespace has
// one veth to it and a default route over that.
//
//	  engine's netns                       internet's netns
//	docker0, containers ── inet0 ═══ net0 ── 198.51.100.1 … and servers
//	                   198.51.100.2      └── recorder (what came in)
//
// Everything is started by a World and ended by its Close, by pid.
package lab
