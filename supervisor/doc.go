// Package supervisor is nemoclaw-supervisor put together: the one process that
// talks to the agent's connections and to the world, without any privilege.
//
// Its life, in order:
//
//  1. started by the broker under a uid of its own, in an empty mount
//     namespace, with one socket and nothing else;
//  2. Boot: it gives up what is left (harden.go), and only then makes or loads
//     its authority and its names;
//  3. attach: the sockets of the namespace; it begins to answer, and denies all;
//  4. add: a container and its policy; start: where connections are made from;
//  5. the socket to the broker ends: it exits, and with it every connection.
//
// What it cannot do itself it asks the broker for: who holds a socket, and a
// marked socket in the container's namespace.
package supervisor
