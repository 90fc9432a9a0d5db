package landlock

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that this kernel has no Landlock, or that it was not
// switched on at boot (lsm= on the kernel's command line).
var ErrUnsupported = errors.New("the kernel has no Landlock")

// ABI returns the kernel's Landlock ABI, 1 or more. The error is
// ErrUnsupported, wrapped, where there is none.
func ABI() (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch errno {
	case 0:
		return int(v), nil
	case unix.ENOSYS, unix.EOPNOTSUPP:
		return 0, fmt.Errorf("asking for the Landlock ABI: %w (%v)", ErrUnsupported, errno)
	default:
		return 0, fmt.Errorf("asking for the Landlock ABI: %w", errno)
	}
}

// rulesetAttrSizes are the sizes of struct landlock_ruleset_attr: an older
// kernel takes a longer one only when the rest is zero, so one size would do,
// but this way a scope on a kernel without scopes is an error and not a guess.
const (
	sizeFS     = 8  // handled_access_fs
	sizeScoped = 24 // + handled_access_net, scoped
)

// NewRuleset makes an empty ruleset that handles every right of abi, and has
// the scopes. The descriptor is close-on-exec and is the caller's to close.
// A scope that abi does not have is an error.
func NewRuleset(abi int, scoped Scope) (*os.File, error) {
	if abi < 1 {
		return nil, fmt.Errorf("making a ruleset for Landlock ABI %d: %w", abi, ErrUnsupported)
	}
	if scoped&^ScopesOf(abi) != 0 {
		return nil, fmt.Errorf("making a ruleset: scopes %#x are not in Landlock ABI %d", uint64(scoped), abi)
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: uint64(Handled(abi)), Scoped: uint64(scoped)}
	size := uintptr(sizeFS)
	if scoped != 0 {
		size = sizeScoped
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return nil, fmt.Errorf("making a ruleset for Landlock ABI %d: %w", abi, errno)
	}
	return os.NewFile(fd, "landlock-ruleset"), nil
}

// AddPath grants a below path, a descriptor opened with O_PATH or otherwise. On
// anything but a directory the rights that only directories have are left out
// first, because the kernel refuses the whole rule for one of them.
func AddPath(ruleset, path *os.File, a Access) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(path.Fd()), &st); err != nil {
		return fmt.Errorf("reading the type of %q: %w", path.Name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		a &= fileRights
	}
	if a == 0 {
		return fmt.Errorf("adding %q to the ruleset: no right is left for it", path.Name())
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: uint64(a), Parent_fd: int32(path.Fd())}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset.Fd(), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	runtime.KeepAlive(path)
	runtime.KeepAlive(ruleset)
	if errno != 0 {
		return fmt.Errorf("adding %q to the ruleset: %w", path.Name(), errno)
	}
	return nil
}

// RestrictProcess puts every thread of this process under the ruleset, for
// good, and sets no_new_privs on each. It is for programs without cgo: with
// cgo it answers an error.
func RestrictProcess(ruleset *os.File) error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("setting no_new_privs: %w", errno)
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset.Fd(), 0, 0)
	runtime.KeepAlive(ruleset)
	if errno != 0 {
		return fmt.Errorf("restricting this process: %w", errno)
	}
	return nil
}
