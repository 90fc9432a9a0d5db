package runtime

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

const (
	// killWait bounds how long a killed container may take to be gone.
	killWait = 10 * time.Second
	// killPollMin and killPollMax are how often we look whether it is; most are
	// gone at the first look.
	killPollMin = time.Millisecond
	killPollMax = 100 * time.Millisecond
)

// Delete removes a container that does not run. With force it is killed first,
// and one that does not exist is no error. What enforcement keeps of it goes
// too, even if libcontainer's state is gone already.
func (h *Host) Delete(id string, force bool) error {
	c, err := h.load(id)
	if errors.Is(err, libcontainer.ErrNotExist) {
		return h.deleteRemains(id, force, err)
	}
	if err != nil {
		return err
	}
	if h.Enforcement == nil && !h.hasNoPolicy(id) {
		return h.sameRules(id)
	}
	err = destroy(c, force)
	if err != nil && unix.Access(h.stateDir(id), unix.F_OK) == nil {
		return err
	}
	// Gone, even if a poststop hook has failed: nobody may call us again.
	return errors.Join(err, h.Enforcement.teardown(id, h.Root))
}

// deleteRemains removes what an aborted create has left: the directory without a
// state file that libcontainer cannot load.
func (h *Host) deleteRemains(id string, force bool, notExist error) error {
	err := os.RemoveAll(h.stateDir(id))
	err = errors.Join(err, h.Enforcement.teardown(id, h.Root))
	if force {
		return err
	}
	return errors.Join(notExist, err)
}

// destroy ends a container in the way that its state asks for. With force,
// stopped ones are killed too: without a pid namespace of their own they may
// have left processes.
func destroy(c *libcontainer.Container, force bool) error {
	status, err := c.Status()
	switch {
	case force:
		return killAndDestroy(c)
	case err != nil:
		return err
	case status == libcontainer.Stopped:
		return c.Destroy()
	case status == libcontainer.Created:
		return killAndDestroy(c)
	}
	return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.ID(), status)
}

func killAndDestroy(c *libcontainer.Container) error {
	_ = c.Signal(unix.SIGKILL)
	deadline := time.Now().Add(killWait)
	for pause := killPollMin; time.Now().Before(deadline); pause = min(2*pause, killPollMax) {
		if err := c.Signal(unix.Signal(0)); err != nil {
			return c.Destroy()
		}
		time.Sleep(pause)
	}
	return errors.New("container init still running")
}
