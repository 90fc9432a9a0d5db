package runtime

import (
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/utils"
)

// State is what `state` and `list` say of a container: the runtime-spec's state
// and runc's additions.
type State struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	PID         int               `json:"pid"` // 0: stopped
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"` // of the state directory; "" in `state`
}

// State gives the state of one container.
func (h *Host) State(id string) (*State, error) {
	c, err := h.load(id)
	if err != nil {
		return nil, err
	}
	return h.stateOf(c)
}

func (h *Host) stateOf(c *libcontainer.Container) (*State, error) {
	status, err := c.Status()
	if err != nil {
		return nil, err
	}
	state, err := c.State()
	if err != nil {
		return nil, err
	}
	pid := state.InitProcessPid
	if status == libcontainer.Stopped {
		pid = 0
	}
	bundle, annotations := utils.Annotations(state.Config.Labels)
	s := &State{
		Version:     state.Config.Version,
		ID:          state.ID,
		PID:         pid,
		Status:      status.String(),
		Bundle:      bundle,
		Rootfs:      state.Config.Rootfs,
		Created:     state.Created,
		Annotations: annotations,
	}
	h.annotate(s)
	return s, nil
}
