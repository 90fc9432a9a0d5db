package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/policy"
)

// Host looks at what the kernel is set to, and at the configuration's places.
// conf is nil where confErr says why there is none.
func Host(conf *config.Config, confErr error) []Finding {
	found := []Finding{cgroups(), userNamespaces(), memfd(), configuration(conf, confErr)}
	if conf == nil {
		return found
	}
	for _, f := range []struct{ key, path string }{{"default_policy", conf.DefaultPolicy}, {"ceiling", conf.Ceiling}} {
		if f.path != "" {
			found = append(found, policyFile(f.key, f.path))
		}
	}
	for _, r := range conf.Images {
		path := r.Policy
		if !filepath.IsAbs(path) {
			path = filepath.Join(conf.PolicyDir, path+".yaml")
		}
		found = append(found, policyFile("policy of image "+r.Image, path))
	}
	if loud := loosened(conf); loud != nil {
		found = append(found, *loud)
	}
	return append(found, logSpace(conf.LogDir))
}

func host(name string, level Level, what, fix string) Finding {
	return Finding{"host", name, level, what, fix}
}

func cgroups() Finding {
	const name = "cgroups"
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil {
		return host(name, Fail, "there are none at /sys/fs/cgroup: "+err.Error(), "mount them; engines need them too")
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return host(name, OK, "version 2", "")
	}
	if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.controllers"); err == nil {
		return host(name, OK, "version 1, hybrid", "")
	}
	return host(name, Note, "version 1", "")
}

func userNamespaces() Finding {
	const name = "user namespaces"
	if n, ok := sysctl("user/max_user_namespaces"); !ok || n == 0 {
		return host(name, Note, "there are none here: containers with users mapped (userns-remap) cannot be made", "")
	}
	return host(name, OK, "for engines that map users; an agent can make none whatever is set here", "")
}

func memfd() Finding {
	const name = "executable memfd"
	if n, ok := sysctl("vm/memfd_noexec"); ok && n >= 2 {
		return host(name, Note, fmt.Sprintf("vm.memfd_noexec is %d: runc's sealed copy of itself falls back to a mount, and so does our stub", n), "")
	}
	return host(name, OK, "allowed (vm.memfd_noexec)", "")
}

func configuration(conf *config.Config, err error) Finding {
	const name = "configuration"
	if err != nil {
		return host(name, Fail, err.Error(), "every container is refused until it is mended")
	}
	if conf.Source == "" {
		return host(name, OK, "the defaults; there is no "+config.DefaultPath, "")
	}
	return host(name, OK, conf.Source, "")
}

// policyFile reads a policy that the configuration names, as the runtime would.
func policyFile(name, path string) Finding {
	data, err := os.ReadFile(path)
	if err != nil {
		return host(name, Fail, err.Error(), "containers that it is meant for are refused until it is there")
	}
	_, warnings, err := policy.Parse(path, data)
	switch {
	case err != nil:
		return host(name, Fail, err.Error(), "containers that it is meant for are refused until it is mended")
	case len(warnings) > 0:
		return host(name, Warn, fmt.Sprintf("%s: %d warnings, the first: %v", path, len(warnings), warnings[0]), "")
	}
	return host(name, OK, path, "")
}

// loosened says which of the default refusals the operator has lifted.
func loosened(conf *config.Config) *Finding {
	var lifted []string
	for _, a := range []struct {
		key string
		on  bool
	}{
		{"host_network", conf.Allow.HostNetwork}, {"host_pid", conf.Allow.HostPID},
		{"privileged", conf.Allow.Privileged}, {"unconfined", conf.Allow.Unconfined},
		{"engine_socket", conf.Allow.EngineSocket}, {"host_proc", conf.Allow.HostProc},
		{"capabilities", len(conf.Allow.Capabilities) > 0},
	} {
		if a.on {
			lifted = append(lifted, a.key)
		}
	}
	if len(lifted) == 0 {
		return nil
	}
	f := host("allow", Warn, fmt.Sprintf("the configuration lifts what is refused by default: %v", lifted),
		"whoever uses it gives the container a way past the fence or to the host")
	return &f
}

// lowSpace is when to warn: at some 400 bytes a record, a few hundred thousand.
const lowSpace = 100 << 20

// logSpace looks at the disk that records go to: when it is full, every decision
// is no.
func logSpace(dir string) Finding {
	const name = "audit log"
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for parent := dir; errors.Is(err, fs.ErrNotExist) && parent != "/"; {
		parent = filepath.Dir(parent)
		err = unix.Statfs(parent, &st)
	}
	if err != nil {
		return host(name, Fail, fmt.Sprintf("%s: %v", dir, err), "without records every decision is no")
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < lowSpace {
		return host(name, Warn, fmt.Sprintf("%s has %d MiB left", dir, free>>20), "make room: when it is full, every decision is no")
	}
	return host(name, OK, fmt.Sprintf("%s has %d MiB left", dir, free>>20), "")
}
