package compile

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp"
)

// Where things are in struct seccomp_data (linux/seccomp.h).
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// maxJump is the farthest that a conditional jump goes, in instructions.
const maxJump = 255

// x32Bit marks calls by the x32 entry of x86_64 (__X32_SYSCALL_BIT), which
// comes under the same architecture as the ordinary one.
const x32Bit = 0x40000000

// lowWord is the offset of the low 32 bits of an argument.
var lowWord = func() uint32 {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return 4
	}
	return 0
}()

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func ret(a seccomp.Action) []unix.SockFilter {
	return []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: uint32(a)}}
}

// prologue refuses foreign entries and leaves the call's number in the accumulator.
func prologue() []unix.SockFilter {
	return []unix.SockFilter{
		load(offsetArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 1},
		ret(seccomp.Kill)[0],
		load(offsetNr),
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: x32Bit, Jf: 1},
		ret(seccomp.Errno(uint16(unix.ENOSYS)))[0],
	}
}

// tree finds the interval of the number in the accumulator by halving. The
// deepest path is some nine jumps for five hundred calls.
func tree(all []interval) []unix.SockFilter {
	if len(all) == 1 {
		return all[0].code
	}
	middle := len(all) / 2
	left, right := tree(all[:middle]), tree(all[middle:])
	jump := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: all[middle].from}
	var code []unix.SockFilter
	if len(left) <= maxJump {
		jump.Jt = uint8(len(left))
		code = append(code, jump)
	} else {
		jump.Jf = 1
		code = append(code, jump, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(left))})
	}
	return append(append(code, left...), right...)
}
