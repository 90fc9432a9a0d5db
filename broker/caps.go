package broker

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kept are the capabilities that the broker works with (see doc.go).
func kept() []uint {
	return []uint{
		unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN,
		unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL,
	}
}

// dropCapabilities leaves those in kept, on every thread and in the bounding
// set, so that nothing that is executed gets another. It is for programs
// without cgo (syscall.AllThreadsSyscall).
func dropCapabilities() error {
	var mask [2]uint32
	for _, c := range kept() {
		mask[c/32] |= 1 << (c % 32)
	}
	for c := uint(0); c <= unix.CAP_LAST_CAP; c++ {
		if mask[c/32]&(1<<(c%32)) != 0 {
			continue
		}
		_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0)
		if errno != 0 && errno != unix.EINVAL { // EINVAL: this kernel does not have it
			return fmt.Errorf("dropping capability %d from the bounding set: %w", c, errno)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		data[i].Effective, data[i].Permitted = mask[i], mask[i]
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return fmt.Errorf("dropping capabilities: %w", errno)
	}
	return nil
}
