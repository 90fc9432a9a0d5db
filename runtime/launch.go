package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// firstFD is the first descriptor after the standard streams.
const firstFD = 3

// ProcessOptions says how a process is connected to its caller.
type ProcessOptions struct {
	// Detach leaves the process running when the verb returns.
	Detach bool
	// ConsoleSocket is a Unix socket that gets the terminal's master; "" where
	// there is no terminal or we stay attached to it.
	ConsoleSocket string
	// PidfdSocket is a Unix socket that gets a pidfd of the process; "" for none.
	PidfdSocket string
	// PidFile gets the process's pid in decimal; "" for none.
	PidFile string
	// PreserveFDs is how many descriptors, from 3 on and after those of
	// $LISTEN_FDS, the process inherits.
	PreserveFDs int
}

// absolute makes paths independent of the directory that we change to.
func (o *ProcessOptions) absolute() error {
	if o.PidFile == "" {
		return nil
	}
	abs, err := filepath.Abs(o.PidFile)
	o.PidFile = abs
	return err
}

// launch is one process on its way into a container.
type launch struct {
	options ProcessOptions
	process *libcontainer.Process
	stdio   *stdio
	signals *signals // nil when nobody waits for the process
	pidFile string   // that we have written, "" before
}

// callerFiles are the descriptors that the caller meant for the process: those
// of socket activation, then the preserved ones. They keep their numbers.
func callerFiles(o *ProcessOptions, activated []*os.File) ([]*os.File, error) {
	files := activated
	first := firstFD + len(activated)
	for fd := first; fd < first+o.PreserveFDs; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("unable to stat preserved-fd %d (of %d): %w", fd-first, o.PreserveFDs, err)
		}
		files = append(files, os.NewFile(uintptr(fd), "PreserveFD:"+strconv.Itoa(fd)))
	}
	return files, nil
}

// activatedFiles are the sockets that systemd opened for us (sd_listen_fds(3)).
func activatedFiles() []*os.File {
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return nil
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count <= 0 {
		return nil
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	var files []*os.File
	for i := range count {
		fd := firstFD + i
		syscall.CloseOnExec(fd)
		name := "LISTEN_FD_" + strconv.Itoa(fd)
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	return files
}

// newLaunch translates a process and connects it. The caller closes the launch.
func newLaunch(c *libcontainer.Container, p *specs.Process, o ProcessOptions, files []*os.File) (*launch, error) {
	process, err := convertProcess(p)
	if err != nil {
		return nil, err
	}
	process.ExtraFiles = files
	l := &launch{options: o, process: process}
	if !o.Detach {
		l.signals = catchSignals()
	}
	if l.stdio, err = connect(c, process, p.Terminal, &o); err != nil {
		return nil, err
	}
	if o.PidfdSocket == "" {
		return l, nil
	}
	sock, err := dialFile(o.PidfdSocket)
	if err != nil {
		l.stdio.close()
		return nil, fmt.Errorf("connecting to the pidfd socket: %w", err)
	}
	process.PidfdSocket = sock
	l.stdio.childEnds = append(l.stdio.childEnds, sock)
	return l, nil
}

// connect picks one of the four ways that stdio knows.
func connect(c *libcontainer.Container, p *libcontainer.Process, terminal bool, o *ProcessOptions) (*stdio, error) {
	switch {
	case terminal && o.Detach:
		return sendConsole(p, o.ConsoleSocket)
	case terminal:
		return ownConsole(p)
	case o.Detach:
		return inheritStdio(p), nil
	}
	config := c.Config()
	uid, err := config.HostRootUID()
	if err != nil {
		return nil, err
	}
	gid, err := config.HostRootGID()
	if err != nil {
		return nil, err
	}
	return pipeStdio(p, uid, gid)
}

// started finishes the connections of a process that has started, and writes
// its pid file. On an error the process is still there.
func (l *launch) started() error {
	if err := l.stdio.started(); err != nil {
		return err
	}
	if l.options.PidFile == "" {
		return nil
	}
	pid, err := l.process.Pid()
	if err != nil {
		return err
	}
	if err := writePidFile(l.options.PidFile, pid); err != nil {
		return err
	}
	l.pidFile = l.options.PidFile
	return nil
}

// kill ends the process and what was written about it.
func (l *launch) kill() {
	_ = l.process.Signal(unix.SIGKILL)
	_, _ = l.process.Wait()
	if l.pidFile != "" {
		_ = os.Remove(l.pidFile)
	}
}

// close waits for the process's output, if that is ours to copy.
func (l *launch) close() { l.stdio.close() }

// writePidFile makes the file appear with its content, never without: whoever
// waits for it reads at once.
func writePidFile(path string, pid int) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_SYNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(pid))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}
