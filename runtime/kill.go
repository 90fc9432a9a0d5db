package runtime

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"
)

// Kill sends a signal to the container's first process; "" is SIGTERM. With all,
// an old flag that engines still pass, a container that does not run is no error.
func (h *Host) Kill(id, sig string, all bool) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	number, err := parseSignal(sig)
	if err != nil {
		return err
	}
	err = c.Signal(number)
	if all && errors.Is(err, libcontainer.ErrNotRunning) {
		return nil
	}
	return err
}

// parseSignal reads "9", "KILL", "SIGKILL" and their lower-case forms.
func parseSignal(s string) (unix.Signal, error) {
	if s == "" {
		return unix.SIGTERM, nil
	}
	if number, err := strconv.Atoi(s); err == nil {
		return unix.Signal(number), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if number := unix.SignalNum(name); number != 0 {
		return number, nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}
