package kerneltest

import (
	"fmt"
	"os"
	"testing"
)

// Reason is why a test may be skipped: the kernel, the machine or the person
// who runs it lacks what the test is about.
type Reason string

// The reasons there are. A new one needs a line in the test report's list.
const (
	// NotRoot: the tests were started by an ordinary user.
	NotRoot Reason = "needs root"
	// NoLandlock: the kernel has no Landlock, or not the ABI that is tested.
	NoLandlock Reason = "the kernel lacks this Landlock ABI"
	// NoUserNamespaces: the kernel or a sysctl refuses user namespaces.
	NoUserNamespaces Reason = "user namespaces are refused on this machine"
	// NoIPv6: the kernel has no IPv6.
	NoIPv6 Reason = "the kernel has no IPv6"
	// NoCompiler: there is no C compiler for the machine that is tested.
	NoCompiler Reason = "no C compiler for this architecture"
	// NoEngine: no container engine could be started.
	NoEngine Reason = "no container engine here"
)

// environment says what the tests were asked to cover: "root" when root and
// engines are meant to be there (scripts/test.sh).
const environment = "NEMOCLAW_TEST"

// askedFor lists what may not be missing when environment is "root".
var askedFor = map[Reason]bool{NotRoot: true, NoEngine: true}

// Skip skips the test for a reason, or fails it when what is missing was
// asked for.
func Skip(t testing.TB, r Reason, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if askedFor[r] && os.Getenv(environment) == "root" {
		t.Fatalf("asked for, and missing: %s: %s", r, text)
	}
	t.Skipf("skipped: %s: %s", r, text)
}

// Root skips, or fails, a test that does not run as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, NotRoot, "euid is %d", os.Geteuid())
	}
}
