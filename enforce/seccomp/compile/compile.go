// Package compile turns the filters of package seccomp into programs: arrays of
// struct sock_filter (linux/filter.h) in the machine's byte order.
//
// It is written by hand, and not with libseccomp, for two reasons. libseccomp
// has no order between the rules of one call, and drops in silence an error
// with arguments beside an allow of the same call (tried); and a create waits
// for the program, which libseccomp takes several milliseconds to make. A test
// runs the programs against libseccomp's.
package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp"
)

// Agent returns the program that nemoclaw-init loads before the agent's.
func Agent() ([]byte, error) { return Compile(seccomp.Agent()) }

// Supervisor returns nemoclaw-supervisor's own program.
func Supervisor() ([]byte, error) { return Compile(seccomp.Supervisor()) }

// Broker returns nemoclaw-broker's own program.
func Broker() ([]byte, error) { return Compile(seccomp.Broker()) }

// Digest names a program as "sha256:HEX", for the plan and the audit.
func Digest(prog []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(prog)) }

// Compile turns a filter into a program for this machine. Calls through another
// machine's entry (32 bits, x32) end the process or answer ENOSYS, whatever the
// filter says; calls that are newer than the table of numbers answer ENOSYS, as
// from a kernel without them, so that programs take their older way.
func Compile(f seccomp.Filter) ([]byte, error) {
	ranges, err := decisions(f)
	if err != nil {
		return nil, fmt.Errorf("compiling the filter %q: %w", f.Name, err)
	}
	prog := append(prologue(), tree(ranges)...)
	if len(prog) > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("compiling the filter %q: %d instructions, the kernel takes %d", f.Name, len(prog), unix.BPF_MAXINSNS)
	}
	return encode(prog), nil
}

func encode(prog []unix.SockFilter) []byte {
	b := make([]byte, 0, 8*len(prog))
	for _, i := range prog {
		b = binary.NativeEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// interval is what happens to the calls from a number up to the next interval.
type interval struct {
	from uint32
	code []unix.SockFilter
}

// decisions turns the rules into intervals of call numbers, ascending from 0.
func decisions(f seccomp.Filter) ([]interval, error) {
	rules, err := byNumber(f)
	if err != nil {
		return nil, err
	}
	last := uint32(0)
	for _, nr := range numbers {
		last = max(last, nr)
	}
	var all []interval
	add := func(from uint32, code []unix.SockFilter) {
		if n := len(all); n == 0 || !slices.Equal(all[n-1].code, code) {
			all = append(all, interval{from, code})
		}
	}
	for nr := range last + 1 {
		code, err := decide(rules[nr], f.Default)
		if err != nil {
			return nil, err
		}
		add(nr, code)
	}
	add(last+1, ret(seccomp.Errno(uint16(unix.ENOSYS))))
	return all, nil
}

// byNumber lists the rules of each call, in order. A name that no machine has
// is a mistake.
func byNumber(f seccomp.Filter) (map[uint32][]seccomp.Rule, error) {
	rules := map[uint32][]seccomp.Rule{}
	for _, r := range f.Rules {
		for _, name := range r.Calls {
			nr, ok := numbers[name]
			if ok {
				rules[nr] = append(rules[nr], r)
			} else if !elsewhere[name] {
				return nil, fmt.Errorf("there is no system call %q", name)
			}
		}
	}
	return rules, nil
}

// decide is the code for one call: its rules in order, then the default.
func decide(rules []seccomp.Rule, otherwise seccomp.Action) ([]unix.SockFilter, error) {
	var code []unix.SockFilter
	for _, r := range rules {
		if len(r.When) == 0 {
			return append(code, ret(r.Action)...), nil
		}
		one, err := conditional(r)
		if err != nil {
			return nil, err
		}
		code = append(code, one...)
	}
	return append(code, ret(otherwise)...), nil
}

// conditional returns the rule's action when all its conditions hold, and goes
// on behind itself when one does not.
func conditional(r seccomp.Rule) ([]unix.SockFilter, error) {
	code := ret(r.Action)
	for _, c := range slices.Backward(r.When) {
		if c.Arg < 0 || c.Arg > 5 || c.Value&^c.Mask != 0 {
			return nil, fmt.Errorf("the condition %+v for %q cannot hold", c, r.Calls)
		}
		test := []unix.SockFilter{load(offsetArgs + 8*uint32(c.Arg) + lowWord)}
		if c.Mask != 0xffffffff {
			test = append(test, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.Mask})
		}
		if len(code) > maxJump {
			return nil, fmt.Errorf("the rule for %q has too many conditions", r.Calls)
		}
		jump := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: c.Value}
		if c.Not {
			jump.Jt = uint8(len(code))
		} else {
			jump.Jf = uint8(len(code))
		}
		code = slices.Concat(test, []unix.SockFilter{jump}, code)
	}
	return code, nil
}
