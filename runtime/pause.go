package runtime

// Pause freezes every process of a container.
func (h *Host) Pause(id string) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	err = c.Pause()
	hintCgroup("pause", err)
	return err
}

// Resume thaws a paused container.
func (h *Host) Resume(id string) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	err = c.Resume()
	hintCgroup("resume", err)
	return err
}
