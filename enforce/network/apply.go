package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Apply puts the fence into the namespace in one netlink transaction; an
// earlier fence of ours is replaced in the same one, so that there is no moment
// without. On an error nothing has changed.
func Apply(netns *os.File, f Fence) error {
	if err := check(f); err != nil {
		return fmt.Errorf("making the fence: %w", err)
	}
	err := in(netns, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		if err := program(c, Rules(f)); err != nil {
			return err
		}
		return c.Flush()
	})
	if err != nil {
		return fmt.Errorf("putting the fence into %s: %w", netns.Name(), err)
	}
	return nil
}

// Remove takes the fence out of the namespace; that there is none is no error.
func Remove(netns *os.File) error {
	err := in(netns, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		c.DelTable(table())
		return c.Flush()
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("taking the fence out of %s: %w", netns.Name(), err)
	}
	return nil
}

func table() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}
}

// program queues the messages that make r.
func program(c *nftables.Conn, r *Ruleset) error {
	t := table()
	c.AddTable(t) // so that the next does not fail where there was none
	c.DelTable(t)
	c.AddTable(t)
	if len(r.Ingress) > 0 {
		if err := addIngress(c, t, r.Ingress); err != nil {
			return err
		}
	}
	// All chains first: rules jump to chains.
	chains := make([]*nftables.Chain, len(r.Chains))
	for i, ch := range r.Chains {
		chains[i] = c.AddChain(kernelChain(t, ch))
	}
	for i, ch := range r.Chains {
		for _, rule := range ch.Rules {
			c.AddRule(&nftables.Rule{
				Table: t, Chain: chains[i], Exprs: rule.exprs,
				UserData: userdata.AppendString(nil, userdata.TypeComment, rule.Why),
			})
		}
	}
	return nil
}

// maxElements is how many ports go into one message: its list of elements has a
// length of 16 bits, and what does not fit is cut off without an error.
const maxElements = 1000

// addIngress makes the set of ports.
func addIngress(c *nftables.Conn, t *nftables.Table, ports []uint16) error {
	set := &nftables.Set{Table: t, Name: setIngress, KeyType: nftables.TypeInetService}
	if err := c.AddSet(set, nil); err != nil {
		return err
	}
	for chunk := range slices.Chunk(ports, maxElements) {
		elements := make([]nftables.SetElement, len(chunk))
		for i, p := range chunk {
			elements[i].Key = binary.BigEndian.AppendUint16(nil, p)
		}
		if err := c.SetAddElements(set, elements); err != nil {
			return err
		}
	}
	return nil
}

func kernelChain(t *nftables.Table, c Chain) *nftables.Chain {
	k := &nftables.Chain{Table: t, Name: c.Name}
	if c.Hook == "" {
		return k
	}
	policy := nftables.ChainPolicyAccept
	if c.Drop {
		policy = nftables.ChainPolicyDrop
	}
	k.Type = nftables.ChainType(c.Kind)
	k.Hooknum = hooks[c.Hook]
	k.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(c.Priority))
	k.Policy = &policy
	return k
}

// hooks are the kernel's numbers (enum nf_inet_hooks in linux/netfilter.h).
var hooks = map[string]*nftables.ChainHook{
	"input":   nftables.ChainHookInput,
	"forward": nftables.ChainHookForward,
	"output":  nftables.ChainHookOutput,
}
