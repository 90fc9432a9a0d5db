package runtime

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runc/libcontainer"
)

// Start lets the program of a created container run. With $NOTIFY_SOCKET it
// returns when the container has said that it is ready.
func (h *Host) Start(id string) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	if err := errors.Join(startable(c), h.sameRules(id)); err != nil {
		return err
	}
	n := h.newNotifier(id)
	if err := n.listen(); err != nil {
		return err
	}
	if err := h.Enforcement.release(id, h.Root, c); err != nil {
		return err
	}
	if err := c.Exec(); err != nil {
		return err
	}
	state, err := c.State()
	if err != nil {
		return err
	}
	return n.forward(state.InitProcessPid, state.InitProcessPid)
}

func startable(c *libcontainer.Container) error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	switch status {
	case libcontainer.Created:
		return nil
	case libcontainer.Stopped:
		return errors.New("cannot start a container that has stopped")
	case libcontainer.Running:
		return errors.New("cannot start an already running container")
	}
	return fmt.Errorf("cannot start a container in the %s state", status)
}
