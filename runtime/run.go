package runtime

import "os"

// Run makes a container, starts it, and waits for it unless detached. It gives
// the exit status of the container's process, 0 when detached. The container is
// deleted when it has ended, unless it is to be kept.
func (h *Host) Run(id string, o CreateOptions) (int, error) {
	if !o.NoSubreaper && !o.Detach {
		becomeSubreaper()
	}
	b, err := h.build(&build{options: o, runs: true}, id)
	if err != nil {
		return -1, err
	}
	if err := h.release(b); err != nil {
		h.locked(id, b.undo)
		return -1, err
	}
	if o.Detach {
		b.close()
		return 0, b.notifier.forward(b.pid, b.pid)
	}
	return b.attend()
}

// release lets the container's program run.
func (h *Host) release(b *build) error {
	if err := h.Enforcement.release(b.id, b.root, b.container); err != nil {
		return err
	}
	return b.container.Exec()
}

// attend serves an attached container to its end.
func (b *build) attend() (int, error) {
	go func() { warn(b.notifier.forward(b.pid, os.Getpid())) }()
	status, err := b.launch.signals.wait(b.launch.process, b.launch.stdio)
	if err != nil {
		b.host.locked(b.id, b.undo)
		return -1, err
	}
	if !b.options.Keep {
		b.host.locked(b.id, func() {
			warn(b.container.Destroy())
			warn(b.host.Enforcement.teardown(b.id, b.root))
		})
	}
	b.close()
	return status, nil
}

// locked does something to a container that no other runtime works on. Taking
// back has to happen, lock or not.
func (h *Host) locked(id string, do func()) {
	unlock, err := h.Enforcement.lock(h.Root, id)
	if err != nil {
		warn(err)
		unlock = func() {}
	}
	defer unlock()
	do()
}
