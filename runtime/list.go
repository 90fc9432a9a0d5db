package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/opencontainers/runc/libcontainer"
)

// List gives the state of every container under the root, by name. Those that
// cannot be read are named on warnings and left out.
func (h *Host) List(warnings io.Writer) ([]State, error) {
	entries, err := os.ReadDir(h.Root)
	if errors.Is(err, fs.ErrNotExist) && !h.RootGiven {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var states []State
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		owner, err := ownerOf(entry)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		state, err := h.listed(entry.Name())
		if err != nil {
			fmt.Fprintln(warnings, err)
			continue
		}
		state.Owner = owner
		states = append(states, *state)
	}
	return states, nil
}

func (h *Host) listed(id string) (*State, error) {
	c, err := libcontainer.Load(h.Root, id)
	if err != nil {
		return nil, fmt.Errorf("load container %s: %w", id, err)
	}
	state, err := h.stateOf(c)
	if err != nil {
		return nil, fmt.Errorf("state for %s: %w", id, err)
	}
	return state, nil
}

// ownerOf names the directory's owner, "#uid" if it has no name.
func ownerOf(entry fs.DirEntry) (string, error) {
	info, err := entry.Info()
	if err != nil {
		return "", err
	}
	uid := strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Uid), 10)
	if u, err := user.LookupId(uid); err == nil {
		return u.Username, nil
	}
	return "#" + uid, nil
}
