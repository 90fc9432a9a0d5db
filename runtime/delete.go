package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
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
	// The lock is a file of that name, which must be a good one.
	if _, err := h.load(id); err != nil && !errors.Is(err, libcontainer.ErrNotExist) {
		return err
	}
	unlock, err := h.Enforcement.lock(h.Root, id)
	if err != nil {
		return err
	}
	defer unlock()
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
	err := errors.Join(h.removeCgroups(id), os.RemoveAll(h.stateDir(id)), h.Enforcement.teardown(id, h.Root))
	if force {
		return err
	}
	return errors.Join(notExist, err)
}

// removeCgroups removes the cgroups of a create that was killed before
// libcontainer had written down what they are: those that the bundle asks for.
// Its init has ended with it. Nothing is killed: a bundle may name the cgroup of
// another container, which then stays.
func (h *Host) removeCgroups(id string) error {
	bundle, err := h.Enforcement.bundleOf(h.Root, id)
	if err != nil || bundle == "" {
		return err
	}
	spec, err := loadSpec(filepath.Join(bundle, SpecFile))
	if err != nil {
		return nil // the bundle is gone, and with it what was asked for
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName: id, UseSystemdCgroup: h.SystemdCgroup, Spec: spec,
		RootlessEUID: os.Geteuid() != 0, RootlessCgroups: h.rootlessCgroups(),
	})
	if err != nil {
		return nil // never made: this bundle is refused
	}
	m, err := manager.New(config.Cgroups)
	if err != nil {
		return err
	}
	return m.Destroy()
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
