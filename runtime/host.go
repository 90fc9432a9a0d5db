package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/userns"
	"github.com/opencontainers/cgroups/systemd"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/sirupsen/logrus"
)

// DefaultRoot is where the state of containers lies unless --root says otherwise.
const DefaultRoot = "/run/nemoclaw-runtime"

// errEmptyID is runc's answer to an empty container name.
var errEmptyID = errors.New("container id cannot be empty")

// Host is where verbs act: one directory of container states and the settings
// that runc has as global flags. Its methods are the verbs.
type Host struct {
	// Root is the absolute directory that holds one directory per container.
	Root string
	// RootGiven says that the caller chose Root. A default root that does not
	// exist yet is an empty list; a chosen one is an error.
	RootGiven bool
	// SystemdCgroup makes systemd manage the containers' cgroups.
	SystemdCgroup bool
	// RootlessCgroups says whether missing rights on cgroups are ignored. Nil
	// decides by who we are.
	RootlessCgroups *bool
	// Enforcement carries policies out. Nil is plain runc: no policy at all
	// (--no-policy), and `state` says so.
	Enforcement *Enforcement
}

// CleanRoot gives the absolute form of a --root argument. "/" is refused: it
// comes from an empty argument or from too many "..", and delete removes
// directories below it.
func CleanRoot(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if abs == "/" {
		return "", errors.New("Option --root argument should not be set to /") //nolint:staticcheck // runc's words.
	}
	return abs, nil
}

// ParseBoolOrAuto reads the value of --rootless: a boolean, or nil for "" and
// "auto".
func ParseBoolOrAuto(s string) (*bool, error) {
	if s == "" || strings.EqualFold(s, "auto") {
		return nil, nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return nil, err
	}
	return &b, nil
}

// UserRoot gives the state directory of an unprivileged user, below
// $XDG_RUNTIME_DIR, or "" where the default root is right. The sticky bit keeps
// the directory from being pruned (XDG base directory specification).
func UserRoot() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" || !actsAsUser() {
		return ""
	}
	return filepath.Join(dir, filepath.Base(DefaultRoot))
}

// actsAsUser tells an unprivileged user, and root of a user namespace that was
// not told to be root, from the machine's root.
func actsAsUser() bool {
	if os.Geteuid() != 0 {
		return true
	}
	return userns.RunningInUserNS() && os.Getenv("USER") != "root"
}

// MakeUserRoot creates the directory that UserRoot names.
func MakeUserRoot(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the path in $XDG_RUNTIME_DIR must be writable by the user: %w", err)
	}
	if err := os.Chmod(dir, 0o700|os.ModeSticky); err != nil {
		return fmt.Errorf("you should check permission of the path in $XDG_RUNTIME_DIR: %w", err)
	}
	return nil
}

// load finds the container of that name.
func (h *Host) load(id string) (*libcontainer.Container, error) {
	if id == "" {
		return nil, errEmptyID
	}
	return libcontainer.Load(h.Root, id)
}

// stateDir is where libcontainer keeps the state of that container.
func (h *Host) stateDir(id string) string {
	return filepath.Join(h.Root, id)
}

// rootlessCgroups decides whether to live with cgroups that we may not change.
func (h *Host) rootlessCgroups() bool {
	switch {
	case h.RootlessCgroups != nil:
		return *h.RootlessCgroups
	case os.Geteuid() != 0:
		return true
	case !userns.RunningInUserNS():
		return false
	case h.SystemdCgroup:
		return !ownedByRoot()
	default:
		// Root of a user namespace, cgroupfs: whether the cgroup is ours is not
		// known before the path is.
		return true
	}
}

// ownedByRoot asks systemd whose session this user namespace belongs to. Where
// it does not answer (there is no session bus), root is the better guess.
func ownedByRoot() bool {
	uid, err := systemd.DetectUID()
	if err != nil {
		logrus.WithError(err).Debug("asking systemd for the session's owner; assuming root")
		return true
	}
	return uid == 0
}

// hintCgroup adds a hint to a refusal that most often means rootless cgroups.
func hintCgroup(verb string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		logrus.Warn("runc " + verb + " failure might be caused by lack of full access to cgroups")
	}
}
