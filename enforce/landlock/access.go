package landlock

import "golang.org/x/sys/unix"

// Access is a set of file system rights, LANDLOCK_ACCESS_FS_* in
// linux/landlock.h. The zero value is no right at all.
type Access uint64

// Scope is a set of boundaries around a domain, LANDLOCK_SCOPE_* in
// linux/landlock.h. The zero value is none.
type Scope uint64

// The boundaries that the kernel knows from ABI 6 on.
const (
	// ScopeAbstractUnix keeps a domain from connecting to abstract Unix
	// sockets that were made outside of it.
	ScopeAbstractUnix Scope = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	// ScopeSignal keeps a domain from sending signals to processes outside of it.
	ScopeSignal Scope = unix.LANDLOCK_SCOPE_SIGNAL
)

// MaxABI is the newest ABI whose rights this package knows; on a kernel with a
// newer one, the rights of this one are used.
const MaxABI = 9

// The groups that Rights puts together. Execute goes with reading: Landlock
// asks for it on execve(2) alone, and a program that may be read can be copied
// to any place that may be written and executed.
const (
	readFile  Access = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE
	readDir   Access = unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeFile Access = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
	// writeDir has neither MAKE_CHAR nor MAKE_BLOCK: an agent makes no device
	// nodes, and they stay handled, so nobody in the domain does.
	writeDir Access = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	ioctlDev Access = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV

	// fileRights are the rights that the kernel takes on something that is not
	// a directory (ACCESS_FILE in security/landlock/fs.c); any other gives EINVAL.
	fileRights = readFile | writeFile | ioctlDev
)

// handledByABI is what each ABI governs, by its number: Documentation/
// userspace-api/landlock.rst, "Previous limitations".
var handledByABI = [MaxABI + 1]Access{
	1: 1<<13 - 1,
	2: 1<<14 - 1, // REFER
	3: 1<<15 - 1, // TRUNCATE
	4: 1<<15 - 1, // (TCP ports: the fence does more)
	5: 1<<16 - 1, // IOCTL_DEV
	6: 1<<16 - 1, // (scopes)
	7: 1<<16 - 1, // (audit)
	8: 1<<16 - 1, // (restricting all threads at once)
	9: 1<<17 - 1, // RESOLVE_UNIX
}

// Handled returns every file system right that the given ABI governs; what a
// ruleset handles and no rule grants is refused. It is 0 for an abi below 1,
// and that of MaxABI for a newer one.
func Handled(abi int) Access {
	if abi < 1 {
		return 0
	}
	return handledByABI[min(abi, MaxABI)]
}

// ScopesOf returns the scopes that the given ABI has.
func ScopesOf(abi int) Scope {
	if abi < 6 {
		return 0
	}
	return ScopeAbstractUnix | ScopeSignal
}

// Rights returns what a rule grants under the given ABI: reading and executing,
// and with write also changing. isDir says that the path is a directory, device
// that it is a device or a directory of devices (/dev/pts), on which ioctl(2)
// is allowed from ABI 5 on; before that, ioctl is not governed.
func Rights(abi int, write, isDir, device bool) Access {
	a := readFile
	if isDir {
		a |= readDir
	}
	if write {
		a |= writeFile
	}
	if write && isDir {
		a |= writeDir
	}
	if device {
		a |= ioctlDev
	}
	return a & Handled(abi)
}
