package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func errnoName(no unix.Errno) string { return unix.ErrnoName(no) }

var fileOps = map[string]operation{
	"write":  func(a []string, _ *answer) error { return write(a[0]) },
	"read":   read,
	"list":   list,
	"mkdir":  func(a []string, _ *answer) error { return unix.Mkdir(a[0], 0o755) },
	"rm":     func(a []string, _ *answer) error { return unix.Unlink(a[0]) },
	"swap":   swap,
	"status": status,
	"sleep":  sleep,
}

// write creates or opens the file and writes a byte to its end.
func write(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte("x"))
	return err
}

func read(args []string, a *answer) error {
	fd, err := unix.Open(args[0], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	a.Data = string(buf[:max(n, 0)])
	return err
}

func list(args []string, a *answer) error {
	entries, err := os.ReadDir(args[0])
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	a.Data = strings.Join(names, " ")
	return err
}

// swap replaces a directory by a symbolic link: what an agent does to mislead
// whoever opens the path next.
func swap(args []string, _ *answer) error {
	if err := os.RemoveAll(args[0]); err != nil {
		return err
	}
	return os.Symlink(args[1], args[0])
}

// status returns the fields of /proc/self/status that enforcement shows in.
func status(_ []string, a *answer) error {
	b, err := os.ReadFile("/proc/self/status")
	a.Map = map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		k, v, _ := strings.Cut(line, ":")
		switch k {
		case "NoNewPrivs", "Seccomp", "Seccomp_filters", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Uid", "Gid":
			a.Map[k] = strings.TrimSpace(v)
		}
	}
	return err
}

func sleep(args []string, _ *answer) error {
	d, err := time.ParseDuration(args[0])
	time.Sleep(d)
	return err
}
