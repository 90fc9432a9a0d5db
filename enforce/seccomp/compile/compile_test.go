package compile

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"testing"

	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp"
)

// call is struct seccomp_data, as far as filters look.
type call struct {
	arch, nr uint32
	args     [6]uint64
}

// run interprets a program as the kernel does (net/core/filter.c), for the
// instructions that are used.
func run(t *testing.T, prog []byte, c call) seccomp.Action {
	t.Helper()
	data := make([]byte, 64)
	binary.NativeEndian.PutUint32(data[offsetNr:], c.nr)
	binary.NativeEndian.PutUint32(data[offsetArch:], c.arch)
	for i, a := range c.args {
		binary.NativeEndian.PutUint64(data[offsetArgs+8*i:], a)
	}
	var a uint32
	for pc := 0; pc < len(prog)/8; pc++ {
		in := prog[8*pc:]
		k := binary.NativeEndian.Uint32(in[4:])
		jump := func(yes bool) {
			if yes {
				pc += int(in[2])
			} else {
				pc += int(in[3])
			}
		}
		switch op := binary.NativeEndian.Uint16(in); op {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.NativeEndian.Uint32(data[k:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= k
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(k)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(a == k)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(a >= k)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump(a > k)
		case unix.BPF_RET | unix.BPF_K:
			return seccomp.Action(k)
		default:
			t.Fatalf("instruction %d: unknown operation %#x", pc, op)
		}
	}
	t.Fatalf("the program has no end for %+v", c)
	return 0
}

// meaning is what the filter says, read from the data.
func meaning(f seccomp.Filter, names map[uint32]string, c call) seccomp.Action {
	if c.arch != auditArch {
		return seccomp.Kill
	}
	name, known := names[c.nr]
	for _, r := range f.Rules {
		if !slices.Contains(r.Calls, name) {
			continue
		}
		holds := true
		for _, w := range r.When {
			holds = holds && (uint32(c.args[w.Arg])&w.Mask == w.Value) != w.Not
		}
		if holds {
			return r.Action
		}
	}
	if !known && c.nr > newest(names) {
		return seccomp.Errno(uint16(unix.ENOSYS))
	}
	return f.Default
}

func newest(names map[uint32]string) uint32 {
	n := uint32(0)
	for nr := range names {
		n = max(n, nr)
	}
	return n
}

func byNr() map[uint32]string {
	names := map[uint32]string{}
	for name, nr := range numbers {
		names[nr] = name
	}
	return names
}

// values are arguments that rules look at, and what lies beside them.
func values(f seccomp.Filter) []uint64 {
	all := []uint64{0, 1, 2, 3, 5, 6, 10, 17, 1 << 31, 0xffffffff, 1 << 32, ^uint64(0)}
	for _, r := range f.Rules {
		for _, w := range r.When {
			for _, v := range []uint32{w.Value, w.Mask, w.Mask &^ w.Value, w.Value ^ 1} {
				all = append(all, uint64(v), uint64(v)|1<<32, uint64(v)|1<<63)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestProgramsMeanTheirFilters: every call, and for the arguments that rules
// look at every pair of values.
func TestProgramsMeanTheirFilters(t *testing.T) {
	names := byNr()
	for _, f := range []seccomp.Filter{seccomp.Agent(), seccomp.Supervisor(), seccomp.Broker()} {
		prog, err := Compile(f)
		if err != nil {
			t.Fatal(err)
		}
		vals := values(f)
		check := func(c call) {
			if got, want := run(t, prog, c), meaning(f, names, c); got != want {
				t.Fatalf("%s: %s %+v: %#x, want %#x", f.Name, names[c.nr], c, got, want)
			}
		}
		for nr := range newest(names) + 200 {
			check(call{arch: auditArch, nr: nr})
			check(call{arch: auditArch ^ 1, nr: nr})
		}
		conditional := map[uint32]bool{}
		for _, r := range f.Rules {
			for _, name := range r.Calls {
				if nr, ok := numbers[name]; ok && len(r.When) > 0 {
					conditional[nr] = true
				}
			}
		}
		for nr := range conditional {
			for _, a := range vals {
				for _, b := range vals {
					check(call{auditArch, nr, [6]uint64{a, b, 0, b}})
					check(call{auditArch, nr, [6]uint64{a, 1, b, b}})
					check(call{auditArch, nr, [6]uint64{a, 2 | 0x80800, b}})
					check(call{auditArch, nr, [6]uint64{10, a, b}})
				}
			}
		}
		for _, nr := range []uint32{x32Bit, x32Bit | 1, 0x7fffffff, 0x80000000, 0xffffffff} {
			if got := run(t, prog, call{arch: auditArch, nr: nr}); got != seccomp.Errno(uint16(unix.ENOSYS)) {
				t.Errorf("%s: call %#x: %#x", f.Name, nr, got)
			}
		}
	}
}

// TestNumbers: our table of numbers is libseccomp's, for this machine; and every
// name that a filter has is a call of some machine.
func TestNumbers(t *testing.T) {
	known := 0
	for name, nr := range numbers {
		got, err := libseccomp.GetSyscallFromName(name)
		if err != nil || got < 0 {
			continue // newer than the library, or long gone
		}
		known++
		if uint32(got) != nr {
			t.Errorf("%s: %d, libseccomp says %d", name, nr, got)
		}
	}
	if known < 300 {
		t.Errorf("libseccomp knows %d of %d calls only", known, len(numbers))
	}
	for name := range elsewhere {
		if _, here := numbers[name]; here {
			continue
		}
		if _, err := libseccomp.GetSyscallFromName(name); err != nil {
			t.Errorf("%q is in elsewhere: %v", name, err)
		}
	}
}

// TestAgainstLibseccomp: for calls without conditions, our program and
// libseccomp's give the same answer.
func TestAgainstLibseccomp(t *testing.T) {
	f := seccomp.Agent()
	ours, err := Compile(f)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := libseccomp.NewFilter(libseccomp.ActErrno.SetReturnCode(int16(unix.EPERM)))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Release()
	skip := map[uint32]bool{}
	for _, r := range f.Rules {
		for _, name := range r.Calls {
			nr, ok := numbers[name]
			if !ok {
				continue
			}
			if len(r.When) > 0 {
				skip[nr] = true
			}
			if len(r.When) > 0 || skip[nr] || r.Action == f.Default {
				continue
			}
			if err := theirs.AddRule(libseccomp.ScmpSyscall(nr), action(t, r.Action)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	prog := export(t, theirs)
	for nr := range newest(byNr()) + 1 {
		c := call{arch: auditArch, nr: nr}
		if a, b := run(t, ours, c), run(t, prog, c); a != b && !skip[nr] {
			t.Errorf("call %d: ours %#x, libseccomp's %#x", nr, a, b)
		}
	}
}

func action(t *testing.T, a seccomp.Action) libseccomp.ScmpAction {
	t.Helper()
	if a == seccomp.Allow {
		return libseccomp.ActAllow
	}
	return libseccomp.ActErrno.SetReturnCode(int16(a & 0xffff))
}

func export(t *testing.T, f *libseccomp.ScmpFilter) []byte {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "bpf")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := f.ExportBPF(file); err != nil {
		t.Fatal(err)
	}
	prog, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

func TestMistakesInAFilter(t *testing.T) {
	allow := func(calls []string, when ...seccomp.Condition) seccomp.Filter {
		return seccomp.Filter{Name: "test", Rules: []seccomp.Rule{{Calls: calls, When: when, Action: seccomp.Allow}}}
	}
	many := make([]seccomp.Condition, 200)
	for i := range many {
		many[i] = seccomp.Condition{Mask: 0xffffffff, Value: uint32(i)}
	}
	for name, f := range map[string]seccomp.Filter{
		"no such call":       allow([]string{"raed"}),
		"no such argument":   allow([]string{"read"}, seccomp.Condition{Arg: 6}),
		"cannot hold":        allow([]string{"read"}, seccomp.Condition{Mask: 1, Value: 2}),
		"too long to jump":   allow([]string{"read"}, many...),
		"negative argument":  allow([]string{"read"}, seccomp.Condition{Arg: -1}),
		"no such call among": allow([]string{"read", "wirte"}),
	} {
		if _, err := Compile(f); err == nil {
			t.Errorf("%s: compiled", name)
		}
	}
	// A rule far from the root of the tree: jumps over 255 instructions.
	var f seccomp.Filter
	for name, nr := range numbers {
		for v := range uint32(5) {
			f.Rules = append(f.Rules, seccomp.Rule{Calls: []string{name}, Action: seccomp.Errno(uint16(8*nr + v + 1)),
				When: []seccomp.Condition{{Arg: 0, Mask: 0xffffffff, Value: v}}})
		}
	}
	if _, err := Compile(f); err == nil {
		t.Errorf("a program of more than %d instructions was made", unix.BPF_MAXINSNS)
	}
	f.Rules = f.Rules[:len(f.Rules)/2]
	prog, err := Compile(f)
	if err != nil {
		t.Fatal(err)
	}
	names := byNr()
	for nr := range newest(names) + 5 {
		for v := range uint64(6) {
			c := call{arch: auditArch, nr: nr, args: [6]uint64{v}}
			if got, want := run(t, prog, c), meaning(f, names, c); got != want {
				t.Fatalf("%s(%d): %#x, want %#x", names[nr], v, got, want)
			}
		}
	}
}

func TestSameEveryTime(t *testing.T) {
	a, err := Agent()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Agent()
	if err != nil {
		t.Fatal(err)
	}
	if Digest(a) != Digest(b) || len(Digest(a)) != len("sha256:")+64 {
		t.Errorf("%s and %s", Digest(a), Digest(b))
	}
	if testing.Verbose() {
		fmt.Printf("agent: %d instructions\n", len(a)/8)
	}
}
