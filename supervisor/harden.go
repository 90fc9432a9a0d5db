package supervisor

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/landlock"
	"github.com/nemoclaw/nemoclaw/enforce/seccomp"
)

// errPrivileged says that the process has kept what it must not have.
var errPrivileged = errors.New("the supervisor may not run as root")

// harden gives up everything that the work does not need, for good and on every
// thread. It comes before the first byte from an agent.
//
// Landlock comes before seccomp, whose program need not permit its calls. A
// kernel without Landlock is no reason to stop: the mount namespace is empty,
// and the uid owns no file.
func harden(prog []byte) error {
	if unix.Geteuid() == 0 || unix.Getuid() == 0 {
		return errPrivileged
	}
	// Nobody of the same uid reads its memory, and it leaves no core.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("making the supervisor undumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding cores: %w", err)
	}
	if err := restrictFiles(); err != nil && !errors.Is(err, landlock.ErrUnsupported) {
		return err
	}
	return seccomp.Install(prog)
}

// restrictFiles takes the whole file system away: a ruleset without a rule.
func restrictFiles() error {
	abi, err := landlock.ABI()
	if err != nil {
		return err
	}
	// Not ScopeSignal: before Linux 6.15 it keeps the Go runtime from signalling
	// its own threads, which are domains of their own here.
	ruleset, err := landlock.NewRuleset(abi, landlock.ScopesOf(abi)&landlock.ScopeAbstractUnix)
	if err != nil {
		return err
	}
	defer ruleset.Close()
	return landlock.RestrictProcess(ruleset)
}
