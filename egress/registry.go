package egress

import (
	"context"
	"fmt"
	"sync"

	"github.com/nemoclaw/nemoclaw/policy"
)

// resident is a container that is here now.
type resident struct {
	Container
	matcher *policy.Matcher
	hash    bool // some rule asks for a program's SHA-256
	// ctx ends when the container is removed, and its connections with it.
	ctx  context.Context
	stop context.CancelFunc
}

// registry knows the containers of the namespace. The zero value is empty.
type registry struct {
	mu   sync.RWMutex
	byID map[string]*resident
}

func (r *registry) add(parent context.Context, c Container) error {
	m, err := policy.Compile(c.Document)
	if err != nil {
		return fmt.Errorf("compiling the policy of container %s: %w", c.ID, err)
	}
	ctx, stop := context.WithCancel(parent)
	res := &resident{Container: c, matcher: m, hash: asksForHash(c.Document), ctx: ctx, stop: stop}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[string]*resident)
	}
	if old := r.byID[c.ID]; old != nil {
		old.stop()
	}
	r.byID[c.ID] = res
	return nil
}

func (r *registry) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if res := r.byID[id]; res != nil {
		res.stop()
		delete(r.byID, id)
	}
}

func (r *registry) get(id string) *resident {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// only returns the one container that is here, or nil if there are more, or none.
func (r *registry) only() *resident {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.byID) != 1 {
		return nil
	}
	for _, res := range r.byID {
		return res
	}
	return nil
}

// all returns every container: a decision about nobody known goes into all logs.
func (r *registry) all() []*resident {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*resident, 0, len(r.byID))
	for _, res := range r.byID {
		out = append(out, res)
	}
	return out
}

func (r *registry) wantHash() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, res := range r.byID {
		if res.hash {
			return true
		}
	}
	return false
}

// asksForHash reports whether a rule of the document, or of a ceiling over it,
// names a program by its content.
func asksForHash(d *policy.Document) bool {
	if d == nil {
		return false
	}
	for i := range d.Network {
		for j := range d.Network[i].Binaries {
			if d.Network[i].Binaries[j].SHA256 != "" {
				return true
			}
		}
	}
	for _, w := range d.Within {
		if asksForHash(w) {
			return true
		}
	}
	return false
}
