// Package dialguard decides whether a resolved address may be dialled. It is
// the last look before connect(2): whatever a name server answered, and however
// an address is dressed up, a connection never goes to the host, to its
// metadata service or to a network that the policy did not mean.
//
// It is pure: Check looks at what it is given and at nothing else.
package dialguard
