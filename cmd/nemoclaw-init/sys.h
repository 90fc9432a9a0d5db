/*
 * System calls and the program's entry, for each machine that it runs on. The
 * numbers are the kernel's (asm/unistd.h); those of Landlock are the same on
 * every machine and are written out because older headers lack them.
 */

#include <asm/unistd.h>

#define SYS_landlock_restrict_self 446
#define SYS_prctl __NR_prctl
#define SYS_seccomp __NR_seccomp
#define SYS_pread64 __NR_pread64
#define SYS_read __NR_read
#define SYS_write __NR_write
#define SYS_close __NR_close
#define SYS_execve __NR_execve
#define SYS_exit_group __NR_exit_group

#if defined(__x86_64__)

/* rdi: the stack as the kernel left it, argc on top (System V ABI, 3.4.1). */
__asm__(".globl _start\n_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n"
	"	hlt\n");

static long sys5(long n, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__)

__asm__(".globl _start\n_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl start\n"
	"	brk #1\n");

static long sys5(long n, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory", "cc");
	return x0;
}

#else
#error "nemoclaw-init knows x86_64 and aarch64"
#endif

static inline long sys4(long n, long a, long b, long c, long d)
{
	return sys5(n, a, b, c, d, 0);
}

static inline long sys3(long n, long a, long b, long c)
{
	return sys5(n, a, b, c, 0, 0);
}
