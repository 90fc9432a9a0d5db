package broker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/sandbox"
)

// Bounds of a search. A container beyond them gets no answer, which denies.
const (
	maxProcesses = 16384   // of one container
	maxCgroups   = 1024    // directories below a container's
	maxFDs       = 1 << 20 // of all processes
	maxAncestors = 64
	maxHolders   = 64
	maxExe       = 1 << 30 // bytes of a program that is hashed
)

// errTooMuch says that a bound was met.
var errTooMuch = errors.New("the container has more processes or descriptors than are searched")

// finder looks for the processes that hold a socket.
type finder struct {
	mu     sync.Mutex
	hashes map[exeKey]string // bounded by maxHashes
}

// exeKey names one state of a file's content.
type exeKey struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
	ctime    unix.Timespec
}

const maxHashes = 256

// find returns all holders of the socket among the processes of containers.
func (f *finder) find(who sandbox.Who, containers []*sandbox.Container) ([]sandbox.Holder, error) {
	want := "socket:[" + strconv.FormatUint(who.Inode, 10) + "]"
	budget := maxFDs
	var out []sandbox.Holder
	for _, c := range containers {
		pids, err := processes(c.Cgroups)
		if err != nil {
			return nil, err
		}
		for pid := range pids {
			p, err := openProcess(pid)
			if err != nil {
				continue // gone
			}
			held, err := p.holds(want, &budget)
			if err == nil && held {
				out = append(out, f.describe(p, c, pids, who.Hash))
			}
			p.close()
			if errors.Is(err, errTooMuch) || len(out) > maxHolders {
				return nil, errTooMuch
			}
		}
	}
	return out, nil
}

// describe gathers what policy asks about a holder. A program that cannot be
// read has no name, and no rule matches it.
func (f *finder) describe(p *process, c *sandbox.Container, pids map[int]bool, hash bool) sandbox.Holder {
	h := sandbox.Holder{Container: c.ID, PID: p.pid, Program: f.program(p, hash)}
	at := p
	for range maxAncestors {
		if at.pid == c.InitPID {
			break
		}
		parent, err := at.parent()
		if at != p {
			at.close()
		}
		if err != nil || !pids[parent] {
			return h
		}
		if at, err = openProcess(parent); err != nil {
			return h
		}
		h.Ancestors = append(h.Ancestors, f.program(at, hash))
	}
	if at != p {
		at.close()
	}
	return h
}

// processes lists the processes of cgroups and of those below.
func processes(cgroups []string) (map[int]bool, error) {
	pids := make(map[int]bool)
	dirs := 0
	for _, top := range cgroups {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return skipGone(err)
			}
			if !d.IsDir() {
				return nil
			}
			if dirs++; dirs > maxCgroups {
				return errTooMuch
			}
			return readProcs(filepath.Join(path, "cgroup.procs"), pids)
		})
		if err != nil {
			return nil, fmt.Errorf("listing the processes of %s: %w", top, err)
		}
	}
	return pids, nil
}

func skipGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func readProcs(path string, pids map[int]bool) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return skipGone(err)
	}
	for line := range bytes.Lines(b) {
		if pid, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil && pid > 0 {
			pids[pid] = true
		}
	}
	if len(pids) > maxProcesses {
		return errTooMuch
	}
	return nil
}

// process is one /proc directory, held open: its number can be given to another
// process, the directory cannot.
type process struct {
	pid int
	dir *os.File
}

func openProcess(pid int) (*process, error) {
	dir, err := os.OpenFile("/proc/"+strconv.Itoa(pid), os.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &process{pid, dir}, nil
}

func (p *process) close() { p.dir.Close() }

func (p *process) open(name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(p.dir.Fd()), name, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// holds reports whether one of the process's descriptors is the wanted socket.
func (p *process) holds(want string, budget *int) (bool, error) {
	dir, err := p.open("fd", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	var buf [64]byte
	for {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			if *budget--; *budget < 0 {
				return false, errTooMuch
			}
			n, err := unix.Readlinkat(int(dir.Fd()), name, buf[:])
			if err == nil && string(buf[:n]) == want {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) || len(names) == 0 {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// parent reads PPid out of stat (proc_pid_stat(5)). The name in front of it is
// the agent's to choose, parentheses and all: what counts comes after the last.
func (p *process) parent() (int, error) {
	f, err := p.open("stat", unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 2 {
		return 0, errors.New("stat is malformed")
	}
	return strconv.Atoi(fields[1])
}

// program names the executable of p.
func (f *finder) program(p *process, hash bool) sandbox.Program {
	var out sandbox.Program
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(p.dir.Fd()), "exe", buf)
	if err != nil {
		return out
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(p.dir.Fd()), "exe", &st, 0); err != nil {
		return out
	}
	out = sandbox.Program{Exe: string(buf[:n]), Dev: st.Dev, Inode: st.Ino}
	if hash {
		out.SHA256 = f.sum(p, &st)
	}
	return out
}

// sum hashes the executable, or remembers; "" if it cannot be read, or changes.
func (f *finder) sum(p *process, st *unix.Stat_t) string {
	key := exeKey{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
	if st.Size > maxExe {
		return ""
	}
	f.mu.Lock()
	known, ok := f.hashes[key]
	f.mu.Unlock()
	if ok {
		return known
	}
	exe, err := p.open("exe", unix.O_RDONLY)
	if err != nil {
		return ""
	}
	defer exe.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(exe, maxExe)); err != nil {
		return ""
	}
	var after unix.Stat_t
	if err := unix.Fstat(int(exe.Fd()), &after); err != nil || key != (exeKey{after.Dev, after.Ino, after.Size, after.Mtim, after.Ctim}) {
		return ""
	}
	sum := hex.EncodeToString(h.Sum(nil))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hashes == nil || len(f.hashes) >= maxHashes {
		f.hashes = make(map[exeKey]string)
	}
	f.hashes[key] = sum
	return sum
}
