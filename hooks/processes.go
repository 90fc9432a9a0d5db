package hooks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/sandbox"
)

const (
	// slice is the cgroup of all brokers and supervisors, one below it per slot.
	slice = "nemoclaw.slice"
	// endWait bounds how long killed processes may take to leave their cgroup.
	endWait = 5 * time.Second
	endPoll = 2 * time.Millisecond
)

// hierarchies are where the slots' cgroups can be: cgroup v2, and of v1 the
// hierarchies that every machine with systemd or a hybrid set-up has.
var hierarchies = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"}

// endProcesses kills what is left in a slot's cgroups and removes them. All
// that the processes had to say is on disk: records are written before bytes
// leave. That there is nothing left is no error.
func endProcesses(slot *sandbox.Slot) error {
	var errs []error
	for _, h := range hierarchies {
		dir := filepath.Join(h, slice, strconv.FormatUint(uint64(slot.Number), 10))
		if err := emptyCgroup(dir); err != nil {
			errs = append(errs, err)
		}
		os.Remove(filepath.Dir(dir)) // the last one out: it fails while others are in it
	}
	return errors.Join(errs...)
}

func emptyCgroup(dir string) error {
	for deadline := time.Now().Add(endWait); ; time.Sleep(endPoll) {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a supervisor's cgroup: %w", err)
		}
		pids := strings.Fields(string(text))
		if len(pids) == 0 {
			if err := os.Remove(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
				return nil
			}
		}
		for _, pid := range pids {
			if n, err := strconv.Atoi(pid); err == nil && n > 1 {
				unix.Kill(n, unix.SIGKILL)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ending the processes in %s: %d left", dir, len(pids))
		}
	}
}
