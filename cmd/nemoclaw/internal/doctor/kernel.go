package doctor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/enforce/network"
)

// Kernel asks the kernel for all that a sandbox is made of.
func Kernel() []Finding {
	return []Finding{
		release(), landlockFinding(landlock.ABI()), seccompFinding(actionsAvailable()),
		fenceFinding(tryFence()), mountFinding(tryMountAPI()), cookieFinding(tryCookie()),
	}
}

func kernel(name string, level Level, what, fix string) Finding {
	return Finding{"kernel", name, level, what, fix}
}

func release() Finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return kernel("release", Warn, "the kernel does not say which it is: "+err.Error(), "")
	}
	return kernel("release", Note, "Linux "+unix.ByteSliceToString(u.Release[:])+", "+runtime.GOARCH, "")
}

// gaps is what a sandbox goes without below an ABI of Landlock (landlock(7)).
var gaps = []struct {
	below int
	what  string
}{
	{2, "moving and linking files between directories is refused altogether, also where policy would let it"},
	{3, "files that may be read can be truncated"},
	{5, "ioctl on devices that may be opened is not held"},
	{6, "signals and abstract sockets are held by namespaces alone"},
}

func landlockFinding(abi int, err error) Finding {
	const name = "Landlock"
	switch {
	case errors.Is(err, landlock.ErrUnsupported):
		return kernel(name, Fail, "there is none: no container's files can be held as policy says",
			"boot with lsm=landlock,… on the kernel's command line, or take a kernel from 5.13 on with CONFIG_SECURITY_LANDLOCK")
	case err != nil:
		return kernel(name, Fail, err.Error(), "")
	}
	var missing []string
	for _, g := range gaps {
		if abi < g.below {
			missing = append(missing, g.what)
		}
	}
	if len(missing) > 0 {
		return kernel(name, Warn, fmt.Sprintf("ABI %d holds files; %s", abi, strings.Join(missing, "; ")), "a newer kernel (6.12 on) has all of it")
	}
	return kernel(name, OK, fmt.Sprintf("ABI %d holds files, devices and scopes", abi), "")
}

func actionsAvailable() string {
	data, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		return ""
	}
	return string(data)
}

func seccompFinding(actions string) Finding {
	const name = "seccomp"
	have := strings.Fields(actions)
	for _, need := range []string{"errno", "kill_process", "allow"} {
		if !slices.Contains(have, need) {
			return kernel(name, Fail, "the kernel has no filters, or not the action "+need+": system calls cannot be held",
				"take a kernel with CONFIG_SECCOMP_FILTER")
		}
	}
	return kernel(name, OK, "system calls can be filtered", "")
}

// errNeedsRoot says that a thing can be tried by root alone.
var errNeedsRoot = errors.New("only root can try it")

// tryFence puts the real fence into a network namespace that is gone when it is
// done.
func tryFence() error {
	if os.Geteuid() != 0 {
		return errNeedsRoot
	}
	result := make(chan error)
	go func() {
		// Not unlocked: the thread ends with the goroutine, and the namespace with it.
		runtime.LockOSThread()
		result <- fenceHere()
	}()
	return <-result
}

func fenceHere() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace: %w", err)
	}
	netns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer netns.Close()
	if err := network.LoopbackUp(netns); err != nil {
		return err
	}
	listeners, err := network.Listen(netns)
	if err != nil {
		return err
	}
	defer listeners.Close()
	return network.Apply(netns, network.Fence{Ports: listeners.Ports, Mark: 1, IngressTCP: []uint16{80}})
}

func fenceFinding(err error) Finding {
	const name = "network fence"
	switch {
	case errors.Is(err, errNeedsRoot):
		return kernel(name, Warn, "not tried: making a network namespace takes root", "run `nemoclaw doctor` as root")
	case err != nil:
		return kernel(name, Fail, "the rules cannot be put up: "+err.Error(),
			"take a kernel with nf_tables: inet family, nat, redirect, meta and fib expressions (CONFIG_NF_TABLES_INET, CONFIG_NFT_REDIR, CONFIG_NFT_FIB_INET)")
	}
	return kernel(name, OK, "nftables takes the whole fence (tried in a namespace of its own)", "")
}

// tryMountAPI asks for the calls that make read-only mounts and open paths below
// a container's root; with arguments that do nothing.
func tryMountAPI() error {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return fmt.Errorf("openat2: %w", err)
	}
	unix.Close(fd)
	if err := unix.MountSetattr(-1, "", 0, &unix.MountAttr{}); errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	return nil
}

func mountFinding(err error) Finding {
	const name = "mounts"
	if err != nil {
		return kernel(name, Fail, "a call is missing, read-only paths cannot be made safely: "+err.Error(), "take a kernel from 5.12 on")
	}
	return kernel(name, OK, "openat2, open_tree and mount_setattr are there", "")
}

// tryCookie asks for the number that names a network namespace for good.
func tryCookie() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return err
}

func cookieFinding(err error) Finding {
	const name = "namespace cookie"
	if err != nil {
		return kernel(name, Fail, "network namespaces have no lasting number: "+err.Error(), "take a kernel from 5.14 on")
	}
	return kernel(name, OK, "network namespaces have a lasting number", "")
}

// sysctl reads a number from /proc/sys; ok is false where there is none.
func sysctl(name string) (value int, ok bool) {
	data, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return 0, false
	}
	value, err = strconv.Atoi(strings.TrimSpace(string(data)))
	return value, err == nil
}
