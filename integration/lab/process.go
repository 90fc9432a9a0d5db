package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Processes returns the pids of those who run the named nemoclaw program for
// this engine. A broker is known by its executable; a supervisor, whose view of
// the file system is its own, by the broker that is its parent.
func (e *Engine) Processes(name string) []int {
	var pids []int
	for _, pid := range allProcesses() {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if name == "nemoclaw-supervisor" && exe == "/nemoclaw-supervisor" {
			exe, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", parent(pid)))
			if strings.TrimSuffix(exe, " (deleted)") == e.Bin+"/nemoclaw-broker" {
				pids = append(pids, pid)
			}
			continue
		}
		if strings.TrimSuffix(exe, " (deleted)") == filepath.Join(e.Bin, name) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func allProcesses() (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(d)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parent reads the parent's pid; 0 when the process is gone.
func parent(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(f[1])
	return ppid
}

// Pid is the host's pid of a container's first process.
func (e *Engine) Pid(id string) (int, error) {
	out, err := e.Docker("inspect", "--format", "{{.State.Pid}}", id)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}
