package sandbox

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
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	// cgroupSlice holds the cgroups of all slots of this host.
	cgroupSlice = "nemoclaw.slice"
	// cgroupTries bounds the race with a neighbour that removes the slice.
	cgroupTries = 16
	// endWait bounds how long killed processes may take to leave their cgroup,
	// endPoll is how often we look.
	endWait = 5 * time.Second
	endPoll = 300 * time.Microsecond
)

// hierarchies returns where processes are tracked: the unified hierarchy, and
// on cgroup v1 systemd's named one, by which engines and systemd find what
// belongs to whom. Controllers of v1 limit and do not track; they are left.
func hierarchies() []string {
	var st unix.Statfs_t
	if unix.Statfs(cgroupRoot, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{cgroupRoot}
	}
	var out []string
	for _, name := range []string{"systemd", "unified"} {
		dir := filepath.Join(cgroupRoot, name)
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			out = append(out, dir)
		}
	}
	return out
}

// slotCgroups returns the cgroups of the slot with this name, one a hierarchy.
func slotCgroups(name string) []string {
	var out []string
	for _, h := range hierarchies() {
		out = append(out, filepath.Join(h, cgroupSlice, name))
	}
	return out
}

// JoinCgroup moves this process into cgroups of the slot's own, which it makes:
// whatever ends the engine's or the container's cgroup does not end it.
func (s *Slot) JoinCgroup() error {
	for _, dir := range slotCgroups(filepath.Base(s.Dir)) {
		var err error
		for range cgroupTries {
			if err = os.MkdirAll(dir, 0o755); err == nil {
				if err = enterCgroup(dir); err == nil {
					break
				}
			}
			if !errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("joining cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// EndProcesses kills what is left in the slot's cgroups and removes them. All
// that the processes had to say is on disk: records are written before bytes
// leave. It is for the runtime; a broker that left its own cgroup to remove it
// would wait 10 ms for the kernel to move it. That there is nothing is no error.
func (s *Slot) EndProcesses() error {
	for deadline := time.Now().Add(endWait); ; time.Sleep(endPoll) {
		left := 0
		for _, dir := range slotCgroups(filepath.Base(s.Dir)) {
			left += killCgroup(dir)
		}
		err := s.RemoveCgroup()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ending %d processes of a supervisor: %w", left, err)
		}
	}
}

// killCgroup kills every process of a cgroup and says how many there were. A
// zombie is listed until it is reaped, and is in nobody's way.
func killCgroup(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return 0
	}
	pids := strings.Fields(string(text))
	for _, pid := range pids {
		if n, err := strconv.Atoi(pid); err == nil && n > 1 {
			_ = unix.Kill(n, unix.SIGKILL)
		}
	}
	return len(pids)
}

// RemoveCgroup removes the slot's cgroups, and the slice when it is empty. That
// they are gone is no error; processes in them are.
func (s *Slot) RemoveCgroup() error {
	var errs []error
	for _, dir := range slotCgroups(filepath.Base(s.Dir)) {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("removing cgroup %s: %w", dir, err))
			continue
		}
		_ = unix.Rmdir(filepath.Dir(dir)) // others may be in it
	}
	return errors.Join(errs...)
}

func enterCgroup(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
}
