package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// SpecFile is the name of the specification inside a bundle.
const SpecFile = "config.json"

// CreateOptions says how a container is made; the zero value uses the bundle in
// the working directory and stays attached.
type CreateOptions struct {
	ProcessOptions
	// Bundle is the directory of config.json; "" is the working directory.
	Bundle string
	// NoPivot uses MS_MOVE and chroot in place of pivot_root (ramdisks).
	NoPivot bool
	// NoNewKeyring leaves the container in our session keyring.
	NoNewKeyring bool
	// NoSubreaper leaves orphans of the container to the machine's init (run).
	NoSubreaper bool
	// Keep leaves the container's state after its end (run).
	Keep bool
}

// Create makes a container: everything is in place, and its program waits for
// Start. After an error nothing of it is left.
func (h *Host) Create(id string, o CreateOptions) error {
	o.Detach = true
	b, err := h.build(&build{options: o}, id)
	if err != nil {
		return err
	}
	b.close()
	return nil
}

// build is a container being made: the steps of create, and what undoes them.
type build struct {
	creation
	host     *Host
	options  CreateOptions
	runs     bool // started by this same verb
	notifier *notifier
	launch   *launch
}

// build makes a container up to the exec fifo. This is the order of everything
// that create does.
func (h *Host) build(b *build, id string) (_ *build, err error) {
	b.host = h
	if err := b.load(id); err != nil {
		return nil, err
	}
	files, err := callerFiles(&b.options.ProcessOptions, activateProcess(b.spec.Process))
	if err != nil {
		return nil, err
	}
	b.files.first = firstFD + len(files)
	unlock, err := h.Enforcement.lock(h.Root, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := h.checkName(id); err != nil {
		return nil, err // it was made while we waited
	}
	interrupted := holdInterrupts()
	defer func() {
		if err != nil {
			b.undo()
		}
	}()
	if err := h.Enforcement.prepare(&b.creation); err != nil {
		return nil, err
	}
	if err := b.make(); err != nil {
		return nil, err
	}
	b.launch, err = newLaunch(b.container, b.spec.Process, b.options.ProcessOptions, append(files, b.files.files...))
	if err != nil {
		return nil, err
	}
	b.launch.process.Init = true
	if err := b.container.Start(b.launch.process); err != nil {
		return nil, err
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	return b, interrupted()
}

// load reads the bundle and refuses what cannot be made, before anything exists.
func (b *build) load(id string) error {
	if err := b.options.absolute(); err != nil {
		return err
	}
	if b.options.Bundle != "" {
		if err := os.Chdir(b.options.Bundle); err != nil {
			return err
		}
	}
	spec, err := loadSpec(SpecFile)
	if err != nil {
		return err
	}
	bundle, err := os.Getwd()
	if err != nil {
		return err
	}
	b.creation = creation{id: id, root: b.host.Root, bundle: bundle, spec: spec}
	if err := b.host.checkName(id); err != nil {
		return err
	}
	b.notifier = b.host.newNotifier(id)
	b.notifier.editSpec(spec)
	return checkConsole(spec.Process.Terminal, b.options.Detach, b.options.ConsoleSocket)
}

// make has libcontainer make the container's state directory.
func (b *build) make() error {
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName:       b.id,
		UseSystemdCgroup: b.host.SystemdCgroup,
		NoPivotRoot:      b.options.NoPivot,
		NoNewKeyring:     b.options.NoNewKeyring,
		Spec:             b.spec,
		RootlessEUID:     os.Geteuid() != 0,
		RootlessCgroups:  b.host.rootlessCgroups(),
	})
	if err != nil {
		return err
	}
	b.container, err = libcontainer.Create(b.host.Root, b.id, config)
	if err != nil {
		return err
	}
	if b.host.Enforcement == nil {
		if err := b.host.markNoPolicy(b.id); err != nil {
			return err
		}
	}
	if err := b.notifier.makeDir(); err != nil {
		return err
	}
	if !b.runs {
		return nil // whoever starts the container listens
	}
	return b.notifier.listen()
}

// finish enforces and announces a container whose init waits at the fifo.
func (b *build) finish() (err error) {
	if b.pid, err = b.launch.process.Pid(); err != nil {
		return err
	}
	if err := b.host.Enforcement.finish(&b.creation); err != nil {
		return err
	}
	return b.launch.started()
}

// undo removes a container that was not finished, in reverse order. Its errors
// are logged: the one that led here matters more.
func (b *build) undo() {
	if b.launch != nil {
		b.launch.kill()
		b.launch.close()
	}
	if b.container != nil {
		warn(b.container.Destroy())
	}
	b.files.close()
	warn(b.host.Enforcement.undo(&b.creation))
}

// close lets go of a finished container's descriptors on our side.
func (b *build) close() {
	b.launch.close()
	b.files.close()
}

func warn(err error) {
	if err != nil {
		logrus.Warn(err)
	}
}

// activateProcess finds the sockets of socket activation and tells the process
// of them.
func activateProcess(p *specs.Process) []*os.File {
	files := activatedFiles()
	if len(files) > 0 {
		p.Env = append(p.Env, "LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_PID=1")
	}
	return files
}

// checkName refuses names that libcontainer would refuse, and those in use, but
// earlier: enforcement makes directories of that name first.
func (h *Host) checkName(id string) error {
	switch _, err := h.load(id); {
	case errors.Is(err, libcontainer.ErrInvalidID) || id == "":
		return err
	case err == nil:
		return libcontainer.ErrExist
	}
	err := unix.Access(h.stateDir(id), unix.F_OK)
	if err == nil {
		return libcontainer.ErrExist
	}
	if !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("looking for container %s: %w", id, err)
	}
	return nil
}

// loadSpec reads a specification and checks the process in it.
func loadSpec(path string) (*specs.Spec, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("JSON specification file %s not found", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var spec *specs.Spec
	if err := json.NewDecoder(f).Decode(&spec); err != nil {
		return nil, err
	}
	if spec == nil {
		return nil, errors.New("config cannot be null")
	}
	return spec, checkProcess(spec.Process)
}
