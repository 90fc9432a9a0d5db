// Package hooks has the steps around a container's life: what is asked of the
// host before anything is decided, and what is done in the kernel afterwards.
// package runtime calls them in the order that it shows; each step's undo is in
// the same file.
//
//	decide.go      policy, facts, plan
//	choose.go      which policy a container gets
//	facts.go       what there is: spec, engine's record, root file system, kernel
//	supervisor.go  broker and supervisor: start, attach, add, release, remove
//	trust.go       the files that are mounted over trust stores
//	stub.go        nemoclaw-init, the ruleset and the second seccomp program as descriptors
//	namespace.go   entering a container's mount namespace; opening paths below its root
//	places.go      where the plan's paths lead in the container
//	ruleset.go     the plan's paths into the ruleset, for create and for exec
//	mounts.go      read-only mounts
//	program.go     whether the agent's program is there and may be executed
//	fence.go       listeners, rules and routes of the network namespace
//	record.go      lifecycle events
package hooks
