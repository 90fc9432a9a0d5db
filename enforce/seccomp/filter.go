package seccomp

// Filter is what one kind of process may call, as data. For a call, the first
// rule that names it and whose conditions all hold decides; when none does,
// the answer is Default.
type Filter struct {
	Name string
	// Default answers calls that no rule allows. The zero value ends the process.
	Default Action
	Rules   []Rule
}

// Rule is one decision about some calls.
type Rule struct {
	// Calls are names as in syscalls(2); one that a machine does not have
	// (open on arm64) is passed over there.
	Calls []string
	// When are conditions on the arguments; all must hold. Empty: always.
	When   []Condition
	Action Action
	// Why is the reason, for whoever audits the rule.
	Why string
}

// Condition compares the low 32 bits of an argument, under a mask:
// arg & Mask == Value, or with Not the opposite. The kernel looks at no more of
// the arguments that are compared here, so a comparison of 64 bits would be
// passed by value|1<<32.
type Condition struct {
	Arg   int // 0 to 5
	Mask  uint32
	Value uint32
	Not   bool
}

// Action is what happens to a call.
type Action uint32

// Actions other than an error: SECCOMP_RET_* of linux/seccomp.h. The zero value
// ends the thread, which no rule here wants.
const (
	Allow Action = 0x7fff0000
	// Kill ends the process with SIGSYS.
	Kill Action = 0x80000000
)

// Errno answers the call with an error, and does nothing else.
func Errno(e uint16) Action { return 0x00050000 | Action(e) }

// The errors that the filters answer with (errno(3); the same numbers on every
// machine that is supported).
const (
	ePERM            = 1
	eNOSYS           = 38
	ePROTONOSUPPORT  = 93
	eSOCKTNOSUPPORT  = 94
	eAFNOSUPPORT     = 97
	all32            = 0xffffffff
	sockTypeMask     = 0xf        // SOCK_TYPE_MASK: the rest are SOCK_CLOEXEC, SOCK_NONBLOCK
	namespaces       = 0x7e020000 // every CLONE_NEW* that clone(2) takes
	namespacesByName = 0x7e020080 // those, and CLONE_NEWTIME, which only unshare(2) takes
)

func is(arg int, value uint32) Condition { return Condition{Arg: arg, Mask: all32, Value: value} }
func has(arg int, mask uint32) Condition { return Condition{Arg: arg, Mask: mask, Not: true} }
