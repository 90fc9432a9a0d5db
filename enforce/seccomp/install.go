package seccomp

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// instructionSize is that of struct sock_filter (linux/filter.h).
	instructionSize = 8
	// maxInstructions is BPF_MAXINSNS (linux/bpf_common.h).
	maxInstructions = 4096
)

// Install puts every thread of this process under the program, for good, and
// sets no_new_privs on each. The program is an array of struct sock_filter in
// the machine's byte order. An error means that nothing was installed.
func Install(prog []byte) error {
	n := len(prog) / instructionSize
	if n == 0 || n > maxInstructions || len(prog)%instructionSize != 0 {
		return fmt.Errorf("installing a seccomp program of %d bytes: not 1 to %d instructions", len(prog), maxInstructions)
	}
	filter := make([]unix.SockFilter, n)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&filter[0])), len(prog)), prog)
	fprog := unix.SockFprog{Len: uint16(n), Filter: &filter[0]}

	// no_new_privs and the filter go on the same thread; TSYNC hands both on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	tid, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return fmt.Errorf("installing a seccomp program: %w", errno)
	}
	if tid != 0 {
		return fmt.Errorf("installing a seccomp program: thread %d has filters of its own", tid)
	}
	return nil
}
