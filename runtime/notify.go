package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
)

const (
	// notifyMount is where a container finds its notification socket.
	notifyMount = "/run/notify"
	notifyName  = "notify.sock"
	// notifyMax bounds one notification, in bytes.
	notifyMax = 4096
	// aliveCheck is how often the notifier looks whether there is still
	// someone who could notify.
	aliveCheck = 100 * time.Millisecond
	// barrierWait is how long systemd may take to have read what we sent.
	barrierWait = 30 * time.Second
)

// notifier passes sd_notify(3) readiness from a container on to who started us.
// The container cannot talk to systemd itself: it lacks the socket, and its pids
// mean nothing outside. A nil notifier is one that was not asked for.
type notifier struct {
	host string // $NOTIFY_SOCKET as we got it
	dir  string // mounted into the container, holds the socket
	conn *net.UnixConn
}

// newNotifier gives the notifier of a container, nil without $NOTIFY_SOCKET.
func (h *Host) newNotifier(id string) *notifier {
	host := os.Getenv("NOTIFY_SOCKET")
	if host == "" {
		return nil
	}
	return &notifier{host: host, dir: filepath.Join(h.stateDir(id), "notify")}
}

// editSpec mounts the socket into the container and tells the process of it.
func (n *notifier) editSpec(spec *specs.Spec) {
	if n == nil {
		return
	}
	spec.Mounts = append(spec.Mounts, specs.Mount{
		Destination: notifyMount,
		Source:      n.dir,
		Options:     []string{"bind", "nosuid", "noexec", "nodev", "ro"},
	})
	spec.Process.Env = append(spec.Process.Env, "NOTIFY_SOCKET="+notifyMount+"/"+notifyName)
}

// makeDir creates what is mounted; the socket comes when somebody listens.
func (n *notifier) makeDir() error {
	if n == nil {
		return nil
	}
	return os.Mkdir(n.dir, 0o755)
}

// listen opens the socket, for any user of the container.
func (n *notifier) listen() error {
	if n == nil {
		return nil
	}
	path := filepath.Join(n.dir, notifyName)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		conn.Close()
		return err
	}
	n.conn = conn
	return nil
}

// forward waits until the container says that it is ready, or until alivePID has
// ended, and then tells the host, naming mainPID as the process to watch. It
// does nothing before listen.
func (n *notifier) forward(alivePID, mainPID int) error {
	if n == nil || n.conn == nil {
		return nil
	}
	host, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.host, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer host.Close()
	ready := make(chan []byte, 1)
	go n.read(ready)
	ticker := time.NewTicker(aliveCheck)
	defer ticker.Stop()
	for {
		select {
		case line := <-ready:
			return tellHost(host, line, mainPID)
		case <-ticker.C:
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", alivePID)); err != nil {
				return nil
			}
		}
	}
}

// read looks for the READY line; one notification is one datagram.
func (n *notifier) read(ready chan<- []byte) {
	buf := make([]byte, notifyMax)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			return
		}
		for line := range bytes.SplitSeq(buf[:size], []byte{'\n'}) {
			if bytes.HasPrefix(line, []byte("READY=")) {
				ready <- bytes.Clone(line)
				return
			}
		}
	}
}

func tellHost(host *net.UnixConn, ready []byte, mainPID int) error {
	if _, err := host.Write(append(ready, '\n')); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(host, "MAINPID=%d\n", mainPID); err != nil {
		return err
	}
	return notifyBarrier(host)
}

// notifyBarrier returns when systemd has read everything sent before: it closes
// the pipe's end that comes with the message (sd_notify_barrier(3)). We must not
// end earlier, or systemd cannot tell whose message it was.
func notifyBarrier(host *net.UnixConn) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = sendFile(host, "BARRIER=1", w)
	w.Close()
	if err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(barrierWait)); err != nil {
		return err
	}
	_, err = r.Read(make([]byte, 1))
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		logrus.Warn("Timeout after waiting 30s for barrier. Ignored.")
		return nil
	case err == nil:
		return errors.New("unexpected read from synchronization pipe")
	}
	return err
}
