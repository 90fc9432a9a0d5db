package layering

// module is the path that all our packages begin with.
const module = "github.com/nemoclaw/nemoclaw"

// room is one line of the table.
type room struct {
	dir   string // below the module; its subdirectories belong to it unless they have a line of their own
	floor int    // imports go to lower floors only
	pure  bool   // computes and nothing else
}

// Floors of what has no number in the document. Everything may stand on the
// tools of the tests, and they stand on nothing; tests of the whole product may
// use all of it.
const (
	tools = -1
	top   = 7
)

// house is the table of docs/architecture.md, "The house".
var house = []room{
	{"internal/kerneltest", tools, false},
	{"internal/layering", tools, false},

	{"policy", 0, true},
	{"audit", 0, false}, // files: it locks and appends

	{"plan", 1, true},
	{"approvals", 1, true},

	{"enforce/landlock", 2, false},
	{"enforce/seccomp", 2, false},
	{"enforce/network", 2, false},
	{"gpu", 2, false},
	{"egress", 2, false},
	{"credentials", 2, false},
	{"inference", 2, false},
	{"config", 2, false},
	{"sandbox", 2, false},
	{"engine", 2, false},

	{"runtime/specedit", 3, true},
	{"hooks", 3, false},
	{"supervisor", 3, false},
	{"broker", 3, false},

	{"runtime", 4, false},

	{"shim", 5, false},

	{"cmd", 6, false}, // siblings: no command imports another

	{"integration", top, false},
	{"bench", top + 1, false}, // measures with the engines of integration/lab
}

// ban keeps an import out of some packages.
type ban struct {
	imports string // this import path, and all below it
	within  func(dir string) bool
	why     string
}

// bans are checked for files that are not tests.
var bans = []ban{
	{"syscall", isPure, "a pure package decides; it cannot act"},
	{"golang.org/x/sys/unix", isPure, "a pure package decides; it cannot act"},
	{"os/exec", isPure, "a pure package decides; it cannot act"},
	{"net/http", isPure, "a pure package decides; it cannot act"},
	{"unsafe", isPure, "a pure package decides; it cannot act"},

	{"os/exec", is("audit"), "recording starts nothing"},
	{"net/http", is("audit"), "recording sends nothing"},

	{"github.com/opencontainers/runc", not("runtime", "integration"),
		"upstream promises no API; only package runtime imports it (decision 1)"},
	{module + "/enforce/seccomp/compile", not("runtime", "hooks", "cmd/nemoclaw-runtime", "integration"),
		"it needs cgo and libseccomp; only the runtime has them"},
	{"C", not("enforce/seccomp/compile"), "the runtime is the one cgo binary"},

	{"github.com/containerd/containerd", not("shim", "integration"),
		"the runtime's imports run again inside each container"},
	{"plugin", not(), "programs are static"},
	{"net/http/pprof", not(), "no debug door"},
}

// mayInit lists the directories that may have an init function: libcontainer
// re-executes the runtime inside the new container, and has to be reached before
// main.
var mayInit = map[string]bool{"cmd/nemoclaw-runtime": true}

// maySkip lists the directories whose tests may call Skip themselves; all others
// go through internal/kerneltest, which wants a typed reason and reports it.
var maySkip = map[string]bool{"internal/kerneltest": true}

// maxLines bounds files that are not tests.
const maxLines = 400
