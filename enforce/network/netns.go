package network

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// in runs f on a thread of its own inside the network namespace. The thread
// ends with f: one that could not be brought back must not serve another
// goroutine. f must not start goroutines that are meant to be inside.
func in(netns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering the network namespace: %w", err)
			return
		}
		done <- f()
	}()
	err := <-done
	runtime.KeepAlive(netns)
	return err
}

// Cookie returns the namespace's cookie (SO_NETNS_COOKIE, socket(7)), which the
// kernel never gives out twice in one boot.
func Cookie(netns *os.File) (uint64, error) {
	var cookie uint64
	err := in(netns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reading the cookie of %s: %w", netns.Name(), err)
	}
	return cookie, nil
}
