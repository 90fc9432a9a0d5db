package compile

// elsewhere are calls that some machines have and others do not; a filter may
// name them everywhere. That every one of them is real, a test asks libseccomp.
var elsewhere = set(
	// Only the older machines, x86_64 here.
	"access", "alarm", "arch_prctl", "chmod", "chown", "creat", "dup2", "epoll_create", "epoll_ctl_old",
	"epoll_wait", "epoll_wait_old", "eventfd", "fork", "futimesat", "get_thread_area", "getdents", "getpgrp",
	"inotify_init", "ioperm", "iopl", "kexec_file_load", "lchown", "link", "lstat", "mkdir", "mknod", "modify_ldt",
	"open", "pause", "pipe", "poll", "readlink", "rename", "rmdir", "select", "set_thread_area", "signalfd", "stat",
	"symlink", "time", "unlink", "uretprobe", "utime", "utimes", "vfork", "sync_file_range",
	// Only ARM.
	"arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint", "cacheflush", "set_tls",
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
