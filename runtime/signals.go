package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/utils"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// signalBuffer is how many signals may wait while we are busy. The Go runtime
// drops what does not fit, and a dropped SIGCHLD would hang us.
const signalBuffer = 2048

// signals is what an attached runtime hears: it passes signals on to the
// container's process and reaps children.
type signals struct {
	incoming chan os.Signal
	complete chan struct{} // closed when all signals are caught
}

// catchSignals starts to catch signals. Call it before the process starts:
// SIGCHLD is caught when it returns. The others follow in the background,
// because 60 signal handlers take time that the container's start can use.
func catchSignals() *signals {
	s := &signals{incoming: make(chan os.Signal, signalBuffer), complete: make(chan struct{})}
	signal.Notify(s.incoming, unix.SIGCHLD)
	go func() {
		signal.Notify(s.incoming)
		close(s.complete)
	}()
	return s
}

// holdInterrupts keeps a signal that asks us to end from ending us half-way. What
// it gives says, as an error, that one has come since.
func holdInterrupts() func() error {
	held := make(chan os.Signal, 1)
	signal.Notify(held, unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	return func() error {
		defer signal.Stop(held)
		select {
		case sig := <-held:
			return fmt.Errorf("interrupted: %s", sig)
		default:
			return nil
		}
	}
}

// becomeSubreaper makes us the parent of what the container's processes leave
// behind, so that a container without a pid namespace leaves no zombies.
func becomeSubreaper() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		logrus.Warn(err)
	}
}

// wait serves signals until the process has ended, and gives its exit status as
// a shell would (128+n for a signal).
func (s *signals) wait(p *libcontainer.Process, io *stdio) (int, error) {
	pid, err := p.Pid()
	if err != nil {
		return -1, err
	}
	<-s.complete
	io.resize()
	for sig := range s.incoming {
		switch sig {
		case unix.SIGWINCH:
			io.resize()
		case unix.SIGURG:
			// The Go runtime sends it to itself to preempt goroutines.
		case unix.SIGCHLD:
			if status, ended := reap(pid); ended {
				// libcontainer flushes pipes in Wait, so it is called too.
				_, _ = p.Wait()
				return status, nil
			}
		default:
			pass(sig, p, pid)
		}
	}
	return -1, errors.New("signals are no longer delivered")
}

func pass(sig os.Signal, p *libcontainer.Process, pid int) {
	if number, ok := sig.(unix.Signal); ok {
		logrus.Debugf("forwarding signal %d (%s) to %d", int(number), unix.SignalName(number), pid)
	}
	if err := p.Signal(sig); err != nil {
		logrus.Error(err)
	}
}

// reap collects every child that has ended: one SIGCHLD may stand for several.
func reap(wanted int) (status int, ended bool) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && !errors.Is(err, unix.ECHILD) {
			logrus.Error(err)
		}
		if err != nil || pid <= 0 {
			return status, ended
		}
		code := utils.ExitStatus(ws)
		logrus.WithFields(logrus.Fields{"pid": pid, "status": code}).Debug("process exited")
		if pid == wanted {
			status, ended = code, true
		}
	}
}
