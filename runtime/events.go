package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/types"
	"github.com/sirupsen/logrus"
)

// Stats prints one stats event of a container, as a line of JSON.
func (h *Host) Stats(id string, out io.Writer) error {
	c, err := h.loadRunning(id)
	if err != nil {
		return err
	}
	event, err := statsEvent(c)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(event)
}

// Events prints a stats event per interval and an event for each process that
// the kernel kills for memory, as lines of JSON, until the container has ended.
func (h *Host) Events(id string, interval time.Duration, out io.Writer) error {
	if interval <= 0 {
		return errors.New("duration interval must be greater than 0")
	}
	c, err := h.loadRunning(id)
	if err != nil {
		return err
	}
	oom, err := c.NotifyOOM()
	if err != nil {
		return err
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	return printEvents(c, oom, ticker.C, json.NewEncoder(out))
}

// printEvents returns when oom is closed, which is how libcontainer tells that
// the cgroup is gone.
func printEvents(c *libcontainer.Container, oom <-chan struct{}, tick <-chan time.Time, out *json.Encoder) error {
	for {
		var event *types.Event
		var err error
		select {
		case _, ok := <-oom:
			if !ok {
				return nil
			}
			event = &types.Event{Type: "oom", ID: c.ID()}
		case <-tick:
			event, err = statsEvent(c)
		}
		if err == nil {
			err = out.Encode(event)
		}
		if err != nil {
			logrus.Error(err)
		}
	}
}

func (h *Host) loadRunning(id string) (*libcontainer.Container, error) {
	c, err := h.load(id)
	if err != nil {
		return nil, err
	}
	status, err := c.Status()
	if err != nil {
		return nil, err
	}
	if status == libcontainer.Stopped {
		return nil, fmt.Errorf("container with id %s is not running", id)
	}
	return c, nil
}

func statsEvent(c *libcontainer.Container) (*types.Event, error) {
	stats, err := c.Stats()
	if err != nil {
		return nil, err
	}
	return &types.Event{Type: "stats", ID: c.ID(), Data: convertStats(stats)}, nil
}
