package runtime

import (
	"os"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/hooks"
	"github.com/nemoclaw/nemoclaw/plan"
)

// Enforcement carries a policy out around the verbs. The verbs call it at the
// places below, in this order; a nil Enforcement does nothing at any of them.
//
//	create, run   prepare    nothing exists yet: may change the spec, add files
//	              created    the process is blocked on the exec fifo, inside its
//	                         namespaces and root, with its pid known
//	              undo       after any failure from prepare on; the container is
//	                         already destroyed
//	start, run    release    last moment before the agent's program runs
//	exec          exec       may change the process, add files; it starts next
//	delete, run   teardown   the container is destroyed, or was never whole
//
// What each does is in enforce_create.go and enforce_exec.go.
type Enforcement struct {
	// ConfigFile is the host's configuration; "" is the default place.
	ConfigFile string
}

// creation is a container on its way: what prepare and created work on.
type creation struct {
	id        string
	root      string // of the states, --root
	bundle    string // absolute
	spec      *specs.Spec
	files     inheritance
	pid       int                     // of the container's init, from created on; 0 before
	container *libcontainer.Container // from created on

	// What prepare leaves for created; nil without enforcement.
	sandbox *hooks.Sandbox
	plan    *plan.Plan
	created hooks.Created
}

// execution is a process on its way into a running container.
type execution struct {
	id        string
	root      string
	container *libcontainer.Container
	process   *specs.Process
	files     inheritance
}

// inheritance is the files that a process gets beside its standard streams and
// what the caller preserves for it.
type inheritance struct {
	first int // number of the first of ours, inside the process
	files []*os.File
}

// add passes f to the process and gives its number there. The file is closed
// on our side when the verb is done.
func (i *inheritance) add(f *os.File) int {
	i.files = append(i.files, f)
	return i.first + len(i.files) - 1
}

func (i *inheritance) close() {
	for _, f := range i.files {
		_ = f.Close()
	}
	i.files = nil
}
