package compile

import "golang.org/x/sys/unix"

// auditArch is this machine's AUDIT_ARCH_*, as the kernel reports it.
const auditArch = unix.AUDIT_ARCH_X86_64
