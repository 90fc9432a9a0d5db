/*
 * nemoclaw-init: the last program before the agent's, inside the container.
 *
 *     /proc/self/fd/S  S R C  PROG ARG...
 *
 * S  descriptor of this program
 * R  Landlock ruleset, filled from outside; -1: none
 * C  seccomp program, an array of struct sock_filter to the end of file; -1: none
 *
 * It gives up privilege in an order in which each step still permits the next,
 * closes its three descriptors and becomes PROG. It never executes PROG when a
 * step fails: it says what failed on stderr and exits with 127 where PROG was
 * not found, with 126 for anything else.
 *
 * There is no libc: a Go or glibc start-up dies under a small RLIMIT_AS, reads
 * the agent's environment (LD_*, GLIBC_TUNABLES, GODEBUG) and makes calls that
 * an image's own seccomp profile may refuse. This one makes seven different
 * calls: prctl, landlock_restrict_self, seccomp, pread64 or read, close, execve,
 * and write and exit_group when something failed.
 */

#include <linux/errno.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include "sys.h"

enum {
	EXIT_REFUSED = 126,
	EXIT_NOT_FOUND = 127,
	MAX_PATH = 4096,		/* PATH_MAX, with the NUL */
	MAX_FILTER = BPF_MAXINSNS,	/* the kernel takes no more */
};

/* One more than the kernel takes, so that a longer file is seen, not cut. */
static struct sock_filter filter[MAX_FILTER + 1];

static unsigned long length(const char *s)
{
	unsigned long n = 0;

	while (s[n])
		n++;
	return n;
}

static void say(const char *s)
{
	sys3(SYS_write, 2, (long)s, (long)length(s));
}

static void say_number(long n)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = 0;
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	say(p);
}

/* The words of strerror(3), in lower case as Go and runc print them. */
static void say_errno(long e)
{
	switch (e) {
	case EPERM: say("operation not permitted"); return;
	case ENOENT: say("no such file or directory"); return;
	case EIO: say("input/output error"); return;
	case E2BIG: say("argument list too long"); return;
	case ENOEXEC: say("exec format error"); return;
	case EBADF: say("bad file descriptor"); return;
	case ENOMEM: say("cannot allocate memory"); return;
	case EACCES: say("permission denied"); return;
	case EFAULT: say("bad address"); return;
	case ENOTDIR: say("not a directory"); return;
	case EISDIR: say("is a directory"); return;
	case EINVAL: say("invalid argument"); return;
	case ETXTBSY: say("text file busy"); return;
	case ENAMETOOLONG: say("file name too long"); return;
	case ENOSYS: say("function not implemented"); return;
	case ELOOP: say("too many levels of symbolic links"); return;
	case EOPNOTSUPP: say("operation not supported"); return;
	default: say("errno "); say_number(e); return;
	}
}

static void __attribute__((noreturn)) leave(int status)
{
	for (;;)
		sys3(SYS_exit_group, status, 0, 0);
}

/* result is a system call's: a negative errno. */
static void __attribute__((noreturn)) fail(const char *act, long result)
{
	say("nemoclaw-init: ");
	say(act);
	say(": ");
	say_errno(-result);
	say("\n");
	leave(EXIT_REFUSED);
}

/* searched: by PATH; then what is missing is no particular file. */
static void __attribute__((noreturn)) fail_program(const char *prog, long result, int searched)
{
	int missing = result == -ENOENT || result == -ENOTDIR;

	say("nemoclaw-init: exec: \"");
	say(prog);
	say("\": ");
	if (missing && searched)
		say("executable file not found in $PATH");
	else
		say_errno(-result);
	say("\n");
	leave(missing ? EXIT_NOT_FOUND : EXIT_REFUSED);
}

/* A descriptor's number in decimal, or -1. Anything else ends the program. */
static int descriptor(const char *s)
{
	long n = 0;
	int i;

	if (s[0] == '-' && s[1] == '1' && !s[2])
		return -1;
	for (i = 0; s[i]; i++) {
		if (s[i] < '0' || s[i] > '9' || n > 1000000)
			fail("reading a descriptor's number", -EINVAL);
		n = n * 10 + (s[i] - '0');
	}
	if (!i)
		fail("reading a descriptor's number", -EINVAL);
	return (int)n;
}

/*
 * Reads fd into the filter and returns the number of instructions. pread first,
 * so that several starts can share one file's descriptor.
 */
static unsigned short read_filter(int fd)
{
	char *to = (char *)filter;
	unsigned long have = 0;
	int seeks = 1;
	long n;

	while (have < sizeof(filter)) {
		n = seeks ? sys4(SYS_pread64, fd, (long)(to + have), (long)(sizeof(filter) - have), (long)have)
			  : sys3(SYS_read, fd, (long)(to + have), (long)(sizeof(filter) - have));
		if (n == -ESPIPE && seeks) {
			seeks = 0;
			continue;
		}
		if (n == -EINTR)
			continue;
		if (n < 0)
			fail("reading the seccomp program", n);
		if (n == 0)
			break;
		have += (unsigned long)n;
	}
	if (!have || have % sizeof(filter[0]) || have > MAX_FILTER * sizeof(filter[0]))
		fail("reading the seccomp program", -EINVAL);
	return (unsigned short)(have / sizeof(filter[0]));
}

static void restrict_self(int ruleset, int program)
{
	struct sock_fprog prog;
	long r;

	/* First: without it neither of the next two is allowed to an ordinary user. */
	r = sys5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (r < 0)
		fail("setting no_new_privs", r);

	/* Before seccomp, which need not allow this call to the agent. */
	if (ruleset >= 0) {
		r = sys3(SYS_landlock_restrict_self, ruleset, 0, 0);
		if (r < 0)
			fail("entering the Landlock domain", r);
	}

	if (program >= 0) {
		prog.len = read_filter(program);
		prog.filter = filter;
		r = sys3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&prog);
		if (r < 0)
			fail("installing the seccomp program", r);
	}
}

static const char *path_variable(char **env)
{
	for (; *env; env++) {
		const char *e = *env;

		if (e[0] == 'P' && e[1] == 'A' && e[2] == 'T' && e[3] == 'H' && e[4] == '=')
			return e + 5;
	}
	return "";
}

/* Puts "dir[0..n]/prog" into path; 0 when it does not fit. */
static int join(char *path, const char *dir, unsigned long n, const char *prog)
{
	unsigned long i, m = length(prog);

	if (n + 1 + m + 1 > MAX_PATH)
		return 0;
	for (i = 0; i < n; i++)
		path[i] = dir[i];
	path[n] = '/';
	for (i = 0; i <= m; i++)
		path[n + 1 + i] = prog[i];
	return 1;
}

/*
 * Executes prog by the PATH of the environment, as execvp(3) but for two
 * things: a relative element is passed over (Go's exec.LookPath, which runc
 * uses, refuses what is found in one), and a file without a known format is an
 * error instead of a shell script. Returns the errno to report.
 */
static long search(const char *prog, char **argv, char **env)
{
	static char path[MAX_PATH];
	const char *dir = path_variable(env);
	long best = -ENOENT, r;
	unsigned long n;

	for (;; dir += n + 1) {
		for (n = 0; dir[n] && dir[n] != ':'; n++)
			;
		if (dir[0] == '/' && join(path, dir, n, prog)) {
			r = sys3(SYS_execve, (long)path, (long)argv, (long)env);
			if (r == -EACCES)
				best = r;
			else if (r != -ENOENT && r != -ENOTDIR)
				return r;
		}
		if (!dir[n])
			return best;
	}
}

static int has_slash(const char *s)
{
	for (; *s; s++)
		if (*s == '/')
			return 1;
	return 0;
}

void __attribute__((noreturn, used)) start(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);
	char **env = argv + argc + 1;
	int self, ruleset, program;
	char *prog;

	if (argc < 5)
		fail("reading the arguments (want: S R C PROG ARG...)", -EINVAL);
	self = descriptor(argv[1]);
	ruleset = descriptor(argv[2]);
	program = descriptor(argv[3]);
	argv += 4;
	prog = argv[0];

	restrict_self(ruleset, program);

	/* The agent starts with what the engine gave it, and nothing of ours. */
	if (self >= 0)
		sys3(SYS_close, self, 0, 0);
	if (ruleset >= 0)
		sys3(SYS_close, ruleset, 0, 0);
	if (program >= 0)
		sys3(SYS_close, program, 0, 0);

	if (has_slash(prog))
		fail_program(prog, sys3(SYS_execve, (long)prog, (long)argv, (long)env), 0);
	fail_program(prog, *prog ? search(prog, argv, env) : -ENOENT, 1);
}
