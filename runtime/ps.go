package runtime

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Processes gives the pids of a container's processes, as the host sees them.
func (h *Host) Processes(id string) ([]int, error) {
	c, err := h.load(id)
	if err != nil {
		return nil, err
	}
	pids, err := c.Processes()
	hintCgroup("ps", err)
	return pids, err
}

// PS prints the lines of ps(1) that are about a container's processes. Without
// arguments ps gets -ef; with some they must keep the PID column.
func (h *Host) PS(id string, args []string, out io.Writer) error {
	pids, err := h.Processes(id)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	table, err := exec.Command("ps", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, table)
	}
	lines, err := pickProcesses(string(table), pids)
	if err != nil {
		return err
	}
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	return nil
}

// pickProcesses gives the heading of a ps table and the lines of these pids.
func pickProcesses(table string, pids []int) ([]string, error) {
	lines := strings.Split(strings.TrimRight(table, "\n"), "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return nil, errors.New("couldn't find PID field in ps output")
	}
	picked := lines[:1]
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) <= column {
			return nil, fmt.Errorf("unable to parse pid: no such column in %q", line)
		}
		pid, err := strconv.Atoi(fields[column])
		if err != nil {
			return nil, fmt.Errorf("unable to parse pid: %w", err)
		}
		if slices.Contains(pids, pid) {
			picked = append(picked, line)
		}
	}
	return picked, nil
}
