// Package egress is the way out of a sandbox: it takes every connection and
// every name query of a network namespace, finds out who asks, asks policy,
// and only then resolves, dials and relays. One record is written per decision
// before anything leaves.
//
// A connection goes through these steps, in this order, and deny is what falls
// out of the bottom of each (proxy.go, flow.go):
//
//	accept       the original destination: SO_ORIGINAL_DST
//	who          the socket's inode (egress/peer), its holders (the broker);
//	             all of them in one container, or nobody and deny
//	what         the name that our address stands for (egress/dns), or a literal
//	             address; policy.local is answered here
//	decide       policy's Matcher, StageConnect
//	record       audit
//	treat        relay: resolve, guard, dial, splice
//	             terminate, inspect: TLS is ended here (egress/mitm), HTTP is
//	             parsed (egress/http1); name = SNI = Host, per request
//	             deny: say so in the protocol that the agent speaks
//
// Bounds: 1024 connections at one time (maxFlows), a head of 64 KiB, a
// ClientHello of 16 KiB, 200 ms for an L4 client to say something before the
// server is heard, 30 s for the first bytes and for a handshake, 5 minutes
// between requests, 3 s for a connection that is refused anyway. Bodies and
// relays have no bound, and are never held.
//
// The package opens no socket by itself: it gets its listeners, and dials by
// the functions in Config.
package egress
