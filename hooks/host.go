package hooks

import (
	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/sandbox"
)

// Mark is the SO_MARK of the broker's sockets, which pass the fence. Nobody in
// a sandbox can set a mark: that needs CAP_NET_ADMIN (socket(7)).
const Mark = 0x6e636c77 // "nclw"

// Host is this host, as its operator configured it.
type Host struct {
	Config *config.Config
}

// Sandbox is one container while a verb works on it. Make one with
// [Host.Sandbox].
type Sandbox struct {
	host *Host
	// Dir is the state directory; it may not exist yet.
	Dir *sandbox.Dir
	// ID is the container's, Root the runtime's --root.
	ID   string
	Root string
}

// Sandbox names the container id under the runtime's --root.
func (h *Host) Sandbox(root, id string) *Sandbox {
	return &Sandbox{host: h, Dir: sandbox.DirOf(h.Config.RunDir, root, id), ID: id, Root: root}
}

// slots is how many supervisors this host can have.
func (h *Host) slots() uint32 { return config.UIDCount }
