package dns

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
)

// MaxNames bounds a table: an agent whose policy has a wildcard chooses names
// freely, and each takes memory for the sandbox's life.
const MaxNames = 8192

// ErrFull says that a table holds MaxNames names, or that its pool is used up.
var ErrFull = errors.New("the sandbox has used all its names")

// Table gives names addresses out of a pool, in the order in which they come,
// and knows which name an address stands for. It is safe for concurrent use.
type Table struct {
	pool  netip.Prefix
	base  uint32
	limit int

	mu     sync.RWMutex
	names  []string // index i has the address base+1+i
	index  map[string]int
	store  *os.File
	stored int64 // bytes of store in use
}

// NewTable makes a table over pool, IPv4 and at least a /30, and takes over
// the names that store holds, one on a line. Every new name is added to store
// before it is given out, so that the next supervisor gives the same address. A
// nil store keeps nothing.
func NewTable(pool netip.Prefix, store *os.File) (*Table, error) {
	if !pool.IsValid() || !pool.Addr().Is4() || pool.Bits() > 30 || pool.Bits() < 8 {
		return nil, fmt.Errorf("address pool %s: need an IPv4 prefix of /8 to /30", pool)
	}
	pool = pool.Masked()
	b := pool.Addr().As4()
	t := &Table{
		pool:  pool,
		base:  binary.BigEndian.Uint32(b[:]),
		limit: min(MaxNames, 1<<(32-pool.Bits())-2),
		index: make(map[string]int),
		store: store,
	}
	if store == nil {
		return t, nil
	}
	return t, t.load()
}

func (t *Table) load() error {
	lines := bufio.NewScanner(io.NewSectionReader(t.store, 0, MaxNames*256))
	for lines.Scan() && len(t.names) < t.limit {
		name, ok := Canonical(lines.Text())
		if !ok {
			break // cut short by the death of who wrote it: never given out
		}
		t.index[name] = len(t.names)
		t.names = append(t.names, name)
		t.stored += int64(len(name)) + 1
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the table of names: %w", err)
	}
	return nil
}

// Pool returns the block that the table's addresses lie in.
func (t *Table) Pool() netip.Prefix { return t.pool }

// Assign returns the address of a canonical name, a new one if it has none.
func (t *Table) Assign(name string) (netip.Addr, error) {
	t.mu.RLock()
	i, ok := t.index[name]
	t.mu.RUnlock()
	if ok {
		return t.at(i), nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := t.index[name]; ok {
		return t.at(i), nil
	}
	if len(t.names) >= t.limit {
		return netip.Addr{}, ErrFull
	}
	if t.store != nil {
		if _, err := t.store.WriteAt([]byte(name+"\n"), t.stored); err != nil {
			return netip.Addr{}, fmt.Errorf("keeping the address of %s: %w", name, err)
		}
		t.stored += int64(len(name)) + 1
	}
	t.index[name] = len(t.names)
	t.names = append(t.names, name)
	return t.at(len(t.names) - 1), nil
}

// Name returns the name that an address was given to; false if to none.
func (t *Table) Name(a netip.Addr) (string, bool) {
	a = a.Unmap()
	if !t.pool.Contains(a) {
		return "", false
	}
	b := a.As4()
	i := int(binary.BigEndian.Uint32(b[:])-t.base) - 1
	t.mu.RLock()
	defer t.mu.RUnlock()
	if i < 0 || i >= len(t.names) {
		return "", false
	}
	return t.names[i], true
}

// Len returns how many names have an address.
func (t *Table) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.names)
}

func (t *Table) at(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], t.base+1+uint32(i))
	return netip.AddrFrom4(b)
}
