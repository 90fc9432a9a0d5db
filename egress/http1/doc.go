// Package http1 reads and writes HTTP/1.1 messages (RFC 9112) for a proxy that
// must know exactly where a message ends and what it asks for.
//
// It is strict where servers are known to differ: a message that two readers
// could understand in two ways is refused, not repaired. Lines end in CRLF;
// there is no folding, no space before a colon, one Host, one framing. What is
// written is made anew from what was understood, never copied.
//
// Bounds: a head is at most MaxHead bytes and MaxFields fields, a chunk-size
// line at most 256 bytes, a trailer section (which is dropped) at most MaxHead.
package http1
