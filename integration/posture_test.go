package integration

import (
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// posture is what the kernel says of a process under a policy that gives no
// capability: ours and the engine's seccomp program, no way to gain privilege.
var posture = map[string]string{
	"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "2",
	"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000",
	"CapBnd": "0000000000000000", "CapAmb": "0000000000000000",
}

// outside are attempts that fail for everybody in a sandbox, root included.
var outside = wanted{
	// Files: outside the policy's paths, and below those that are read-only.
	"write /etc/passwd": "EACCES|EROFS|EPERM", "write /etc/new": "EACCES|EROFS", "write /bin/new": "EACCES|EROFS",
	"write /data/x": "EACCES|EROFS", "write /root/x": "EACCES|EROFS", "mkdir /new": "EACCES|EROFS",
	"write /usr/bin/curl": "EACCES|EROFS", "write /proc/sys/kernel/core_pattern": "EACCES|EROFS",
	"read /data/secret": "EACCES", "list /root": "EACCES",
	"write /work/x": "ok", "write /tmp/x": "ok", "write /dev/null": "ok", "read /etc/passwd": "ok",
	// Namespaces and mounts.
	"unshare user": "EPERM|ENOSYS", "clone3-userns": "ENOSYS", "unshare net": "EPERM", "unshare mnt": "EPERM",
	"mount": "EPERM",
	// Sockets that are not TCP, UDP or Unix.
	"socket inet raw icmp": "EPERM|EACCES", "socket inet dgram icmp": "EPERM|EACCES|EPROTONOSUPPORT|ok",
	"socket packet raw 0": "EPERM|EAFNOSUPPORT|EACCES", "socket alg seqpacket 0": "EPERM|EAFNOSUPPORT",
	"socket vsock stream 0": "EPERM|EAFNOSUPPORT", "socket netlink raw netfilter": "EPERM|EPROTONOSUPPORT|EAFNOSUPPORT",
	"socket netlink raw audit": "EPERM|EPROTONOSUPPORT|EAFNOSUPPORT", "socket key raw 2": "EPERM|EAFNOSUPPORT",
	"socket bluetooth raw 0": "EPERM|EAFNOSUPPORT", "socket rds seqpacket 0": "EPERM|EAFNOSUPPORT",
	"socket tipc stream 0": "EPERM|EAFNOSUPPORT", "socket can raw 1": "EPERM|EAFNOSUPPORT",
	"socket netlink raw route": "ok", "socket inet stream 0": "ok", "socket inet6 dgram 0": "ok", "socket unix stream 0": "ok",
	"mark 1": "EPERM", "mark 0x6e63": "EPERM",
	// Other processes, the kernel, the terminal.
	"vmread 1": "EPERM|ENOSYS", "ptrace 1": "EPERM|ENOSYS", "pidfdgetfd 1": "EPERM|ENOSYS",
	"tiocsti": "EPERM", "tiocsti-high": "EPERM", "memfd": "ok",
}

// calls are system calls that no agent needs, by their x86-64 number.
var calls = map[string]string{
	"keyctl": "250", "add_key": "248", "request_key": "249", "bpf": "321", "perf_event_open": "298",
	"userfaultfd": "323", "io_uring_setup": "425", "kcmp": "312", "process_vm_writev": "311",
	"open_tree": "428", "move_mount": "429", "fsopen": "430", "fsmount": "432", "mount_setattr": "442",
	"pivot_root": "155", "init_module": "175", "finit_module": "313", "kexec_load": "246", "reboot": "169",
	"open_by_handle_at": "304", "setns": "308", "x32 getpid": "0x40000027",
}

// TestPosture asks the kernel, in the container's first process and by exec, as
// root and not.
func TestPosture(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		eachUser(t, func(t *testing.T, user string) {
			ops := append([]string{"status"}, outside.ops()...)
			for _, nr := range calls {
				ops = append(ops, "syscall "+nr)
			}
			id := sleeper(t, e, ref, "--user", user)
			for how, got := range map[string]map[string]answer{
				"run":  run(t, e, []string{"--user", user}, ref, ops...),
				"exec": execIn(t, e, []string{"--user", user}, id, ops...),
			} {
				t.Run(how, func(t *testing.T) {
					for field, want := range posture {
						if is := got["status"].Map[field]; is != want {
							t.Errorf("%s is %q, want %q", field, is, want)
						}
					}
					outside.check(t, got)
					for name, nr := range calls {
						if a := got["syscall "+nr]; a.OK || !oneOf(a.Err, "EPERM|ENOSYS") {
							t.Errorf("%s: %v, want it refused by number", name, a)
						}
					}
				})
			}
		})
	})
}

// TestDescriptors: at exec a program finds 0, 1 and 2, and nothing of ours.
func TestDescriptors(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		id := sleeper(t, e, ref)
		r1, err1 := e.Run(ref, "ls", "/proc/self/fd")
		r2, err2 := e.Try("exec", id, "ls", "/proc/self/fd")
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for how, r := range map[string]lab.Result{"run": r1, "exec": r2} {
			// ls itself opens the directory, as 3.
			if got := strings.Join(strings.Fields(r.Stdout), " "); got != "0 1 2 3" {
				t.Errorf("%s: descriptors %q (%s), want 0 1 2 and ls's own 3", how, got, r.Stderr)
			}
		}
	})
}

// TestToolsAreRefused: the same by the tools that people would try.
func TestToolsAreRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, agent)
		for _, cmd := range []string{
			"unshare -Ur true", "mount -t tmpfs none /tmp", "ping -c 1 -W 1 " + lab.AllowedAddr4, "echo x > /etc/resolv.conf",
			"chown 0 /etc/passwd && echo x >> /etc/passwd", "ln -s /etc /work/e && echo x > /work/e/new", "cat /data/../root/x",
			"nft list ruleset", "nft flush ruleset", "nft add table inet mine",
		} {
			r, err := e.Run(ref, "sh", "-c", cmd)
			if err != nil {
				t.Fatal(err)
			}
			if r.Code == 0 {
				t.Errorf("%q went through: %s%s", cmd, r.Stdout, r.Stderr)
			}
		}
	})
}

// TestRunAsUser: the policy's user, by a name of the image, also for exec.
func TestRunAsUser(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, lab.Image{Name: "asuser", Policy: agentPolicy + "process: {run_as_user: agent, run_as_group: agent}\n"})
		id := sleeper(t, e, ref)
		for how, got := range map[string]map[string]answer{
			"run": run(t, e, nil, ref, "status"), "exec": execIn(t, e, nil, id, "status"),
			"run --user 0": run(t, e, []string{"--user", "0"}, ref, "status"),
		} {
			if s := got["status"].Map; s["Uid"] != "1000\t1000\t1000\t1000" || s["Gid"] != "1000\t1000\t1000\t1000" {
				t.Errorf("%s: uid %q, gid %q", how, s["Uid"], s["Gid"])
			}
		}
	})
}
