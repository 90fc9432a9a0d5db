package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// bundleKind is what the specification holds beside the program.
type bundleKind struct {
	name, what string
	profile    bool // of seccomp, as an engine gives it
}

// kinds are the bundles measured. libseccomp takes milliseconds to compile a
// profile: enforcement adds one where there is none, so only a bundle that has
// one compares like with like; it is also what every engine makes.
var kinds = [...]bundleKind{
	{"engine", "in a bundle as Docker makes it (with its seccomp profile)", true},
	{"bare", "in a bundle as `runc spec` makes it (no seccomp profile; enforcement adds one)", false},
}

// capabilities are those that Docker leaves a container.
var capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// makeBundle makes a bundle below dir that runs a program of busybox.
func makeBundle(dir string, kind bundleKind, args ...string) (string, error) {
	bundle := filepath.Join(dir, "bundle-"+kind.name+"-"+filepath.Base(args[0]))
	rootfs := filepath.Join(bundle, "rootfs")
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(rootfs, d), 0o755); err != nil {
			return "", err
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return "", fmt.Errorf("reading busybox (package busybox-static): %w", err)
	}
	if err := os.WriteFile(filepath.Join(rootfs, args[0]), busybox, 0o755); err != nil {
		return "", err
	}
	spec := bundleSpec(args)
	if kind.profile {
		if spec.Linux.Seccomp, err = seccomp.GetDefaultProfile(spec); err != nil {
			return "", fmt.Errorf("making Docker's seccomp profile: %w", err)
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return "", err
	}
	return bundle, os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o644)
}

// bundleSpec is what `runc spec` writes, as far as it takes time: all
// namespaces, the usual mounts, masked paths.
func bundleSpec(args []string) *specs.Spec {
	spec := &specs.Spec{
		Version:  "1.0.2",
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: "bench",
		Process: &specs.Process{
			Args: args, Cwd: "/", Env: []string{"PATH=/bin"}, NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: capabilities, Effective: capabilities, Permitted: capabilities},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		Linux: &specs.Linux{
			MaskedPaths:   []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"},
		},
	}
	for _, ns := range []specs.LinuxNamespaceType{
		specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace, specs.CgroupNamespace,
	} {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: ns})
	}
	return spec
}
