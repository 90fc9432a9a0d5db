package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Snapshot is what of a world can be seen from outside: processes, mounts,
// cgroups, network namespaces and files, one line each.
type Snapshot map[string]bool

// Snapshot looks at the engine's world. Audit logs and the daemons' logs and
// caches are not in it: they are meant to stay.
func (e *Engine) Snapshot() Snapshot {
	s := Snapshot{}
	e.processes(s)
	e.mounts(s)
	e.cgroups(s)
	// Not exec-root/netns: dockerd collects those files once a minute. A
	// namespace that still lives shows as a mount.
	for _, dir := range []string{e.RunDir, e.StateDir, filepath.Join(e.DataRoot(), "containers"),
		filepath.Join(e.Dir, "containerd", "state")} {
		s.walk("file", dir)
	}
	return s
}

// Left returns what is in now and was not in s, sorted. It is what a container
// has left behind.
func (s Snapshot) Left(now Snapshot) []string {
	var out []string
	for line := range now {
		if !s[line] {
			out = append(out, line)
		}
	}
	sort.Strings(out)
	return out
}

// WaitClean compares until nothing is left or the time is over, because an
// engine reaps after its client has gone; it returns what was left at last.
func (e *Engine) WaitClean(before Snapshot, limit time.Duration) []string {
	deadline := time.Now().Add(limit)
	for {
		left := before.Left(e.Snapshot())
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// processes adds what runs a copied binary, stands in the engine's mount or
// network namespace, or is in one of its cgroups.
func (e *Engine) processes(s Snapshot) {
	ours := fmt.Sprintf("/proc/%d/ns/", e.World.holder.Process.Pid)
	mnt, _ := os.Readlink(ours + "mnt")
	net, _ := os.Readlink(ours + "net")
	for _, pid := range allProcesses() {
		p := fmt.Sprint("/proc/", pid)
		exe, _ := os.Readlink(p + "/exe")
		m, _ := os.Readlink(p + "/ns/mnt")
		n, _ := os.Readlink(p + "/ns/net")
		cg, _ := os.ReadFile(p + "/cgroup")
		if !strings.HasPrefix(exe, e.Dir+"/") && m != mnt && n != net && !strings.Contains(string(cg), e.World.Name) {
			continue
		}
		cmd, _ := os.ReadFile(p + "/cmdline")
		if len(cmd) == 0 {
			continue // a zombie or a process that is just going
		}
		s[fmt.Sprintf("process %d %s", pid, strings.ReplaceAll(string(cmd), "\x00", " "))] = true
	}
}

// mounts adds the mount points of the engine's mount namespace, and those of
// the machine's that lie in the world's directory.
func (e *Engine) mounts(s Snapshot) {
	read := func(file, prefix string) {
		b, _ := os.ReadFile(file)
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], prefix) {
				s["mount "+f[4]] = true
			}
		}
	}
	read(fmt.Sprintf("/proc/%d/mountinfo", e.World.holder.Process.Pid), "/")
	read("/proc/self/mountinfo", e.Dir)
}

// cgroups adds every cgroup below the engine's parent, and those of
// nemoclaw.slice that are empty: one with processes belongs to them, and they
// are looked at themselves (another world may have its own beside ours).
func (e *Engine) cgroups(s Snapshot) {
	for _, d := range cgroupDirs(e.CgroupParent()) {
		s["cgroup "+d] = true
	}
	for _, d := range cgroupDirs("/nemoclaw.slice") {
		if procs, err := os.ReadFile(d + "/cgroup.procs"); err == nil && len(procs) == 0 {
			s["cgroup "+d] = true
		}
	}
}

// cgroupDirs lists what lies below a cgroup in every hierarchy.
func cgroupDirs(name string) (out []string) {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*" + name)
	more, _ := filepath.Glob("/sys/fs/cgroup" + name)
	for _, d := range append(roots, more...) {
		filepath.WalkDir(d, func(path string, f os.DirEntry, err error) error {
			if err == nil && f.IsDir() && path != d {
				out = append(out, path)
			}
			return nil
		})
	}
	return out
}

func (s Snapshot) walk(what, dir string) {
	filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && path != dir {
			s[what+" "+path] = true
		}
		return nil
	})
}
