// Package posture reads from /proc what the kernel says of a running process
// (proc_pid_status(5), namespaces(7)): not what somebody meant to enforce.
package posture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/capability"
)

// ErrGone says that the process has ended, or that its number is another's now.
var ErrGone = errors.New("the process has ended")

// Process is what the kernel says of one process.
type Process struct {
	PID             int      `json:"pid"`
	Command         string   `json:"command"` // comm: 15 bytes that the process chooses itself
	NoNewPrivileges bool     `json:"no_new_privileges"`
	Seccomp         int      `json:"seccomp"`         // 0 off, 1 strict, 2 filter
	SeccompFilters  int      `json:"seccomp_filters"` // -1: this kernel does not say (before 5.9)
	UID             uint32   `json:"uid"`             // effective, as seen from here
	GID             uint32   `json:"gid"`
	Inheritable     []string `json:"cap_inheritable"`
	Permitted       []string `json:"cap_permitted"`
	Effective       []string `json:"cap_effective"`
	Bounding        []string `json:"cap_bounding"`
	Ambient         []string `json:"cap_ambient"`
	// OwnNamespaces are those that it does not share with this program: cgroup,
	// ipc, mnt, net, pid, time, user, uts.
	OwnNamespaces []string `json:"own_namespaces"`
}

// Read looks at the process pid, whose start time in clock ticks since boot must
// be start, unless that is 0.
func Read(pid int, start uint64) (*Process, error) {
	dir, err := os.OpenRoot(filepath.Join("/proc", strconv.Itoa(pid)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	defer dir.Close()
	// The directory stays the process's: once it ends, reads fail and never
	// tell of its successor.
	p := &Process{PID: pid}
	err = errors.Join(checkStart(dir, start), p.readStatus(dir), p.readNamespaces(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH), errors.Is(err, ErrGone):
		return nil, ErrGone
	case err != nil:
		return nil, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	return p, nil
}

// Shares reports whether the process is in this program's namespace of a kind.
func (p *Process) Shares(kind string) bool { return !slices.Contains(p.OwnNamespaces, kind) }

func checkStart(dir *os.Root, want uint64) error {
	data, err := read(dir, "stat")
	if err != nil || want == 0 {
		return err
	}
	// The name is in brackets and may hold brackets and blanks.
	fields := strings.Fields(data[strings.LastIndexByte(data, ')')+1:])
	const startTime = 22 - 3 // proc_pid_stat(5) counts from 1, and two fields are cut off
	if len(fields) <= startTime {
		return errors.New("its stat is too short")
	}
	got, err := strconv.ParseUint(fields[startTime], 10, 64)
	if err == nil && got != want {
		err = ErrGone
	}
	return err
}

func (p *Process) readStatus(dir *os.Root) error {
	data, err := read(dir, "status")
	if err != nil {
		return err
	}
	p.parseStatus(data)
	return nil
}

// parseStatus reads proc_pid_status(5). What is missing stays at what protects
// least: an old kernel must not look strict.
func (p *Process) parseStatus(data string) {
	p.SeccompFilters = -1
	for line := range strings.Lines(data) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			p.Command = value
		case "NoNewPrivs":
			p.NoNewPrivileges = value == "1"
		case "Seccomp":
			p.Seccomp, _ = strconv.Atoi(value)
		case "Seccomp_filters":
			p.SeccompFilters, _ = strconv.Atoi(value)
		case "Uid":
			p.UID = effectiveID(value)
		case "Gid":
			p.GID = effectiveID(value)
		case "CapInh":
			p.Inheritable = capabilities(value)
		case "CapPrm":
			p.Permitted = capabilities(value)
		case "CapEff":
			p.Effective = capabilities(value)
		case "CapBnd":
			p.Bounding = capabilities(value)
		case "CapAmb":
			p.Ambient = capabilities(value)
		}
	}
}

// effectiveID is the second of "real effective saved file-system".
func effectiveID(ids string) uint32 {
	fields := strings.Fields(ids)
	if len(fields) < 2 {
		return 0
	}
	id, _ := strconv.ParseUint(fields[1], 10, 32)
	return uint32(id)
}

// capabilities names the bits of a set, CAP_ names, in the kernel's order. Bits
// without a name are given by number.
func capabilities(hex string) []string {
	set, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return []string{"unreadable"}
	}
	names := map[int]string{}
	for _, c := range capability.ListKnown() {
		names[int(c)] = "CAP_" + strings.ToUpper(c.String())
	}
	out := []string{}
	for bit := range 64 {
		if set&(1<<bit) == 0 {
			continue
		}
		if name, ok := names[bit]; ok {
			out = append(out, name)
		} else {
			out = append(out, "CAP_"+strconv.Itoa(bit))
		}
	}
	return out
}

func (p *Process) readNamespaces(dir *os.Root) error {
	p.OwnNamespaces = []string{}
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		own, err := os.Readlink("/proc/self/ns/" + kind)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without this kind
		}
		if err != nil {
			return err
		}
		theirs, err := dir.Readlink("ns/" + kind)
		if err != nil {
			return err
		}
		if own != theirs {
			p.OwnNamespaces = append(p.OwnNamespaces, kind)
		}
	}
	return nil
}

// read reads one small file of a process.
func read(dir *os.Root, name string) (string, error) {
	f, err := dir.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return string(data), err
}
