package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/utils"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// ExecOptions says which process joins a container. Without ProcessFile it is
// the container's own process with these fields changed.
type ExecOptions struct {
	ProcessOptions
	// ProcessFile holds a runtime-spec process as JSON; it overrides all below.
	ProcessFile string
	// Args is the program and its arguments.
	Args []string
	// Cwd, AppArmor, Label and User ("uid[:gid]") replace the container's unless "".
	Cwd, AppArmor, Label, User string
	// Env, Capabilities and Groups are added to the container's.
	Env          []string
	Capabilities []string
	Groups       []int64
	// Terminal gives the process a terminal; the container's own wish does not count.
	Terminal bool
	// NoNewPrivs sets the bit of that name; nil leaves the container's.
	NoNewPrivs *bool
	// Cgroups are paths below the container's cgroup, "[controller,…:]path".
	Cgroups []string
	// IgnorePaused lets the process join a paused container.
	IgnorePaused bool
}

// Exec starts a process in a running container and waits for it unless
// detached. It gives the process's exit status, 0 when detached.
func (h *Host) Exec(id string, o ExecOptions) (int, error) {
	if err := o.absolute(); err != nil {
		return -1, err
	}
	c, err := h.load(id)
	if err != nil {
		return -1, err
	}
	if err := errors.Join(joinable(c, o.IgnorePaused), h.sameRules(id)); err != nil {
		return -1, err
	}
	p, err := execProcess(c, &o)
	if err != nil {
		return -1, err
	}
	cgroups, err := subCgroups(o.Cgroups)
	if err != nil {
		return -1, err
	}
	if err := checkConsole(p.Terminal, o.Detach, o.ConsoleSocket); err != nil {
		return -1, err
	}
	x := &execution{id: id, root: h.Root, container: c, process: p}
	return h.join(x, &o.ProcessOptions, cgroups)
}

// join brings the process into the container.
func (h *Host) join(x *execution, o *ProcessOptions, cgroups map[string]string) (int, error) {
	files, err := callerFiles(o, nil)
	if err != nil {
		return -1, err
	}
	x.files.first = firstFD + len(files)
	defer x.files.close()
	if err := h.Enforcement.exec(x); err != nil {
		return -1, err
	}
	l, err := newLaunch(x.container, x.process, *o, append(files, x.files.files...))
	if err != nil {
		return -1, err
	}
	defer l.close()
	l.process.SubCgroupPaths = cgroups
	if err := x.container.Start(l.process); err != nil {
		return -1, err
	}
	if err := l.started(); err != nil {
		l.kill()
		return -1, err
	}
	if o.Detach {
		return 0, nil
	}
	return l.signals.wait(l.process, l.stdio)
}

func joinable(c *libcontainer.Container, ignorePaused bool) error {
	status, err := c.Status()
	switch {
	case err != nil:
		return err
	case status == libcontainer.Stopped:
		return errors.New("cannot exec in a stopped container")
	case status == libcontainer.Paused && !ignorePaused:
		return errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	}
	return nil
}

// execProcess gives the process that the options describe.
func execProcess(c *libcontainer.Container, o *ExecOptions) (*specs.Process, error) {
	var p *specs.Process
	var err error
	if o.ProcessFile != "" {
		p, err = readProcess(o.ProcessFile)
	} else if p, err = bundleProcess(c); err == nil {
		err = o.apply(p)
	}
	if err != nil {
		return nil, err
	}
	return p, checkProcess(p)
}

func readProcess(path string) (*specs.Process, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := new(specs.Process)
	return p, json.NewDecoder(f).Decode(p)
}

// bundleProcess gives the process of the container's own specification. It
// changes to the bundle, to which relative paths in there refer.
func bundleProcess(c *libcontainer.Container) (*specs.Process, error) {
	bundle, ok := utils.SearchLabels(c.Config().Labels, "bundle")
	if !ok {
		return nil, errors.New("bundle not found in labels")
	}
	if err := os.Chdir(bundle); err != nil {
		return nil, err
	}
	spec, err := loadSpec(SpecFile)
	if err != nil {
		return nil, err
	}
	return spec.Process, nil
}

// apply changes the container's process into the wanted one.
func (o *ExecOptions) apply(p *specs.Process) error {
	if len(o.Args) == 0 {
		return errors.New("exec args cannot be empty")
	}
	p.Args = o.Args
	p.Env = append(p.Env, o.Env...)
	p.Terminal = o.Terminal
	replace(&p.Cwd, o.Cwd)
	replace(&p.ApparmorProfile, o.AppArmor)
	replace(&p.SelinuxLabel, o.Label)
	if o.NoNewPrivs != nil {
		p.NoNewPrivileges = *o.NoNewPrivs
	}
	addCapabilities(p, o.Capabilities)
	return o.applyUser(&p.User)
}

func replace(field *string, value string) {
	if value != "" {
		*field = value
	}
}

// addCapabilities adds to all sets but the inheritable one, which exec never
// widens; an ambient capability must be inheritable, so ambient ones are added
// only where the container has inheritable ones.
func addCapabilities(p *specs.Process, names []string) {
	if len(names) == 0 {
		return
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	c := p.Capabilities
	c.Bounding = append(c.Bounding, names...)
	c.Effective = append(c.Effective, names...)
	c.Permitted = append(c.Permitted, names...)
	if c.Inheritable != nil {
		c.Ambient = append(c.Ambient, names...)
	}
}

func (o *ExecOptions) applyUser(u *specs.User) error {
	uid, gid, hasGroup := strings.Cut(o.User, ":")
	if hasGroup {
		if err := setID(&u.GID, gid); err != nil {
			return fmt.Errorf("bad gid: %w", err)
		}
	}
	if o.User != "" {
		if err := setID(&u.UID, uid); err != nil {
			return fmt.Errorf("bad uid: %w", err)
		}
	}
	for _, group := range o.Groups {
		if group < 0 || group > int64(^uint32(0)) {
			return fmt.Errorf("additional-gids must be a positive number %d", group)
		}
		u.AdditionalGids = append(u.AdditionalGids, uint32(group))
	}
	return nil
}

// setID reads an id. One out of range is an error: cut to 32 bits it could be
// root's (CVE-2024-40635).
func setID(id *uint32, s string) error {
	n, err := strconv.ParseUint(s, 10, 31)
	*id = uint32(n)
	return err
}

// subCgroups reads --cgroup arguments: one path (cgroup v2, under the key ""),
// or paths per controller (v1).
func subCgroups(args []string) (map[string]string, error) {
	paths := map[string]string{}
	for _, arg := range args {
		controllers, path, ok := strings.Cut(arg, ":")
		if !ok {
			if len(args) != 1 {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (missing <controller>: prefix)", arg)
			}
			return map[string]string{"": arg}, nil
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if controller == "" {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (empty <controller> prefix)", arg)
			}
			if _, twice := paths[controller]; twice {
				return nil, fmt.Errorf("invalid --cgroup argument(s): controller %s specified multiple times", controller)
			}
			paths[controller] = path
		}
	}
	return paths, nil
}
