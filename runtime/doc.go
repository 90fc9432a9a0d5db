// Package runtime holds the OCI verbs: what `nemoclaw-runtime create`, `start`,
// `exec`, `delete` and the others do. It is the only importer of libcontainer,
// which promises no stable API: a new libcontainer is a change in here alone.
//
// One file per verb, named after it; what several verbs share:
//
//	launch.go    one process on its way into a container: create, run and exec
//	process.go   runtime-spec's process → libcontainer's
//	stdio.go     its standard streams: inherited, piped, or a terminal
//	signals.go   who waits for it, and passes signals on
//	notify.go    sd_notify between systemd and the container
//	enforce.go   the seam: where the enforced part of the runtime hooks in
//
// The package shares its name with the standard library's; import that one as
// goruntime.
//
// Everything here also runs, once more and inside the new container, when
// libcontainer re-executes the binary (reexec.go). Imports are kept few because
// each of them costs start-up time twice.
package runtime
