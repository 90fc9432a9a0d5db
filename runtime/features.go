package runtime

import (
	"fmt"

	"github.com/opencontainers/runc/libcontainer/capabilities"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/seccomp"
	"github.com/opencontainers/runc/libcontainer/specconv"
	runcfeatures "github.com/opencontainers/runc/types/features"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// RuncVersion is the runc that this runtime behaves like: the version of the
// libcontainer in it.
const RuncVersion = "1.5.2"

// Features says what this build can do (runtime-spec, features.md).
func Features(commit string) *features.Features {
	yes := true
	f := &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         configs.KnownHookNames(),
		MountOptions:  specconv.KnownMountOptions(),
		Linux:         linuxFeatures(&yes),
		Annotations: map[string]string{
			runcfeatures.AnnotationRuncVersion:           RuncVersion,
			runcfeatures.AnnotationRuncCommit:            commit,
			runcfeatures.AnnotationRuncCheckpointEnabled: "false",
		},
		PotentiallyUnsafeConfigAnnotations: []string{"bundle", "org.systemd.property.", "org.criu.config"},
	}
	if seccomp.Enabled {
		f.Linux.Seccomp = seccompFeatures(&yes)
		f.Annotations[runcfeatures.AnnotationLibseccompVersion] = SeccompVersion()
	}
	return f
}

func linuxFeatures(yes *bool) *features.Linux {
	return &features.Linux{
		Namespaces:   specconv.KnownNamespaces(),
		Capabilities: capabilities.KnownCapabilities(),
		Cgroup:       &features.Cgroup{V1: yes, V2: yes, Systemd: yes, SystemdUser: yes, Rdma: yes},
		Apparmor:     &features.Apparmor{Enabled: yes},
		Selinux:      &features.Selinux{Enabled: yes},
		IntelRdt:     &features.IntelRdt{Enabled: yes, Schemata: yes, Monitoring: yes},
		MemoryPolicy: &features.MemoryPolicy{
			Modes: specconv.KnownMemoryPolicyModes(),
			Flags: specconv.KnownMemoryPolicyFlags(),
		},
		MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: yes}},
		NetDevices:      &features.NetDevices{Enabled: yes},
	}
}

func seccompFeatures(yes *bool) *features.Seccomp {
	return &features.Seccomp{
		Enabled:        yes,
		Actions:        seccomp.KnownActions(),
		Operators:      seccomp.KnownOperators(),
		Archs:          seccomp.KnownArchs(),
		KnownFlags:     seccomp.KnownFlags(),
		SupportedFlags: seccomp.SupportedFlags(),
	}
}

// SeccompVersion is the version of libseccomp in this build, "" without it.
func SeccompVersion() string {
	major, minor, patch := seccomp.Version()
	if major+minor+patch == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", major, minor, patch)
}
