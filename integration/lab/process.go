package lab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Processes returns the pids of those who run the named nemoclaw program of
// this engine ("nemoclaw-supervisor").
func (e *Engine) Processes(name string) []int {
	var pids []int
	all, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range all {
		exe, _ := os.Readlink(link)
		if strings.HasPrefix(exe, e.Bin+"/") && strings.TrimSuffix(filepath.Base(exe), " (deleted)") == name {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// Pid is the host's pid of a container's first process.
func (e *Engine) Pid(id string) (int, error) {
	out, err := e.Docker("inspect", "--format", "{{.State.Pid}}", id)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}
