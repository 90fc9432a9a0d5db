package broker

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// supervisorPath is where the program lies in the cell, which holds nothing else.
const supervisorPath = "/nemoclaw-supervisor"

// cellFlags are those of every mount in the cell.
const cellFlags = unix.MS_NOSUID | unix.MS_NODEV

// cell is a thread of this process in a mount namespace that holds the
// supervisor's program and nothing more, read-only. Children that it starts see
// that and no other file system. It has to be made while the broker still has
// all privilege.
type cell struct {
	uid   uint32
	calls chan call
}

type call struct {
	files []*os.File
	done  chan result
}

type result struct {
	proc *os.Process
	err  error
}

// newCell makes the thread and its namespace; mountpoint is any directory, which
// only that namespace sees covered.
func newCell(program, mountpoint string, uid uint32) (*cell, error) {
	c := &cell{uid: uid, calls: make(chan call)}
	ready := make(chan error)
	go func() {
		// Never unlocked: the thread is of no use to anybody else, and a child's
		// parent-death signal comes when this thread ends.
		runtime.LockOSThread()
		if err := emptyView(program, mountpoint); err != nil {
			ready <- fmt.Errorf("making the supervisor's mount namespace: %w", err)
			select {}
		}
		close(ready)
		c.serve()
	}()
	return c, <-ready
}

// emptyView leaves this thread in a root that holds the program alone.
func emptyView(program, mountpoint string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("leaving the mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("nemoclaw", mountpoint, "tmpfs", cellFlags, "size=16k,nr_inodes=4,mode=0755"); err != nil {
		return fmt.Errorf("mounting a root: %w", err)
	}
	if err := unix.Chdir(mountpoint); err != nil {
		return err
	}
	if err := bindProgram(program, supervisorPath[1:]); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY|cellFlags, ""); err != nil {
		return fmt.Errorf("making the root read-only: %w", err)
	}
	return nil
}

// bindProgram makes the program appear under a name in the working directory,
// read-only.
func bindProgram(program, name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o555)
	if err != nil {
		return err
	}
	f.Close()
	// By path, not by descriptor: one opened before belongs to a mount of the
	// namespace that was left, and cannot be bound from here (EINVAL).
	if err := unix.Mount(program, name, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s: %w", program, err)
	}
	if err := unix.Mount("", name, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|cellFlags, ""); err != nil {
		return fmt.Errorf("making the program read-only: %w", err)
	}
	return nil
}

// start starts a supervisor with these descriptors, from 0 on, no environment,
// a session of its own, and death when the broker dies.
func (c *cell) start(files []*os.File) (*os.Process, error) {
	done := make(chan result, 1)
	c.calls <- call{files, done}
	r := <-done
	return r.proc, r.err
}

func (c *cell) serve() {
	for call := range c.calls {
		proc, err := os.StartProcess(supervisorPath, []string{"nemoclaw-supervisor"}, &os.ProcAttr{
			Dir: "/", Env: []string{}, Files: call.files,
			Sys: &syscall.SysProcAttr{
				Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid, Groups: []uint32{}},
				Setsid:     true,
				Pdeathsig:  syscall.SIGKILL,
			},
		})
		if err != nil {
			err = fmt.Errorf("starting the supervisor: %w", err)
		}
		call.done <- result{proc, err}
	}
}
