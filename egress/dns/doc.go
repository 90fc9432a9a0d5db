// Package dns is the sandbox's name service: a server that answers with
// addresses of its own for names that policy may allow, and asks nobody; and a
// client that resolves a name for real, after the verdict.
//
// A query is egress: whoever may ask any name can carry data out in it. So the
// server never recurses. A name keeps its address for the sandbox's life, and
// the address says, when a connection to it arrives, which name was meant.
//
// Bounds: a query is at most MaxQuery bytes, a table holds at most MaxNames
// names, a name at most 253 characters, a reply of an upstream server at most
// maxReply bytes and maxRecords answers.
package dns
