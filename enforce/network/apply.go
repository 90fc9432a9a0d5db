package network

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Apply puts the fence into the namespace in one netlink transaction; an
// earlier fence of ours is replaced in the same one, so that there is no moment
// without. On an error nothing has changed.
func Apply(netns *os.File, f Fence) error {
	if err := check(f); err != nil {
		return fmt.Errorf("making the fence: %w", err)
	}
	rules := Rules(f)
	err := in(netns, func() error {
		// A deletion makes the kernel wait for an RCU grace period, some 10 ms,
		// when the socket is closed: only where there is something to delete.
		err := transaction(rules, false)
		if errors.Is(err, unix.EEXIST) {
			err = transaction(rules, true)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("putting the fence into %s: %w", netns.Name(), err)
	}
	return nil
}

// transaction makes the table, in the place of an earlier one or not.
func transaction(r *Ruleset, replace bool) error {
	b := newBatch()
	if replace {
		b.deleteTable()
	}
	b.newTable()
	if len(r.Ingress) > 0 {
		b.ingress(r.Ingress)
	}
	for _, c := range r.Chains { // all of them first: rules jump to chains
		b.newChain(c)
	}
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			b.rule(c.Name, rule, false)
		}
	}
	return b.commit()
}

// Remove takes the fence out of the namespace; that there is none is no error.
func Remove(netns *os.File) error {
	err := in(netns, func() error {
		b := newBatch()
		b.deleteTable()
		return b.commit()
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("taking the fence out of %s: %w", netns.Name(), err)
	}
	return nil
}
