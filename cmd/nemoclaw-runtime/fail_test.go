package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A create that fails, at whichever step, leaves nothing behind.
func TestFailedCreateLeavesNothing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	hook := func(path string) []specs.Hook { return []specs.Hook{{Path: path}} }
	for step, test := range map[string]struct {
		edit func(*specs.Spec)
		args []string
		want string // in the error
	}{
		"no root file system": {edit: func(s *specs.Spec) { s.Root.Path = "missing" }, want: "missing"},
		"no arguments":        {edit: func(s *specs.Spec) { s.Process.Args = nil }, want: "args must not be empty"},
		"bad rlimit": {
			edit: func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NONE"}} },
			want: "wrong rlimit value: RLIMIT_NONE",
		},
		"bad namespace": {
			edit: func(s *specs.Spec) { s.Linux.Namespaces[0].Path = missing },
			want: "missing",
		},
		"bad capability is only warned of, bad mount is not": {
			edit: func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: missing, Options: []string{"bind"}})
			},
			want: "missing",
		},
		"bad seccomp": {
			edit: func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_NONE"} },
			want: "SCMP_ACT_NONE",
		},
		"bad sysctl": {
			edit: func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.nothing.of.the.kind": "1"} },
			want: "net/nothing",
		},
		"createRuntime hook": {
			edit: func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: hook("/bin/false")} },
			want: "hook",
		},
		"prestart hook": {
			edit: func(s *specs.Spec) { s.Hooks = &specs.Hooks{Prestart: hook("/bin/false")} }, //nolint:staticcheck // Docker uses it.
			want: "hook",
		},
		"createContainer hook": {
			edit: func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateContainer: hook("/bin/false")} },
			want: "hook",
		},
		"no working directory": {
			edit: func(s *specs.Spec) { s.Process.User.UID, s.Process.Cwd = 1, "/bin/busybox" },
			want: "busybox",
		},
		"no program":                        {edit: func(s *specs.Spec) { s.Process.Args = []string{"nothing-of-the-kind"} }, want: "executable file not found in $PATH"},
		"pid file nowhere":                  {args: []string{"--pid-file", missing + "/pid"}, want: "no such file"},
		"pid file is a directory":           {args: []string{"--pid-file", t.TempDir()}, want: "file exists"},
		"console socket without terminal":   {args: []string{"--console-socket", missing}, want: "cannot use console socket"},
		"no console socket":                 {edit: func(s *specs.Spec) { s.Process.Terminal = true }, args: []string{"--console-socket", missing}, want: "missing"},
		"no pidfd socket":                   {args: []string{"--pidfd-socket", missing}, want: "missing"},
		"descriptors that are not there":    {args: []string{"--preserve-fds", "100"}, want: "unable to stat preserved-fd"},
		"terminal without a console socket": {edit: func(s *specs.Spec) { s.Process.Terminal = true }, want: "without setting console socket"},
	} {
		t.Run(step, func(t *testing.T) {
			h := newHost(t)
			dir := bundle(t, "sleep 98765", test.edit)
			before := machine(t)
			id := name(t)
			r := h.run(append(append([]string{"create", "--bundle", dir}, test.args...), id)...)
			if r.Status != 1 || !strings.Contains(r.Stderr, test.want) || !strings.Contains(r.Stderr, "runc create failed: ") {
				t.Errorf("status %d, wanted an error with %q: %s", r.Status, test.want, r.Stderr)
			}
			if entries, _ := os.ReadDir(h.root); len(entries) > 0 {
				t.Errorf("left in the root: %v", entries)
			}
			if after := machine(t); !slices.Equal(before, after) {
				t.Errorf("left on the machine: %q, before: %q", after, before)
			}
		})
	}
}

// machine lists what tests of this package have on the machine: cgroups, mounts,
// processes, and files beside pid files.
func machine(t *testing.T) []string {
	t.Helper()
	var all []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "nemoclaw-verbs-") {
			all = append(all, path)
		}
		return nil
	})
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, os.TempDir()+"/Test") {
			all = append(all, line)
		}
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "sleep\x0098765") {
			all = append(all, path+" "+string(text))
		}
	}
	return all
}

// Whoever ends a create half-way gets it undone, not cut off.
func TestInterruptedCreateLeavesNothing(t *testing.T) {
	h, id := newHost(t), name(t)
	began := filepath.Join(t.TempDir(), "began")
	dir := bundle(t, "sleep 98765", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{
			{Path: "/bin/sh", Args: []string{"sh", "-c", "echo >" + began + "; sleep 0.5"}},
		}}
	})
	before := machine(t)
	cmd := h.command("create", "--bundle", dir, id)
	go func() {
		for range 500 {
			if _, err := os.Stat(began); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = cmd.Process.Signal(unix.SIGTERM)
	}()
	if r := h.finish(cmd); r.Status != 1 || !strings.Contains(r.Stderr, "interrupted: terminated") {
		t.Errorf("%+v", r)
	}
	if entries, _ := os.ReadDir(h.root); len(entries) > 0 {
		t.Errorf("left in the root: %v", entries)
	}
	if after := machine(t); !slices.Equal(before, after) {
		t.Errorf("left on the machine: %q, before: %q", after, before)
	}
}

// A hook that fails after the end does not keep what enforcement has made: the
// container is gone, and a second delete says so.
func TestFailedPoststopHookStillDeletes(t *testing.T) {
	h, id := newHost(t), name(t)
	h.must("create", id, "--bundle", bundle(t, "true", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/bin/false"}}}
	}))
	if r := h.run("delete", "--force", id); r.Status != 1 || !strings.Contains(r.Stderr, "hook") {
		t.Errorf("%+v", r)
	}
	if entries, _ := os.ReadDir(h.root); len(entries) > 0 {
		t.Errorf("left in the root: %v", entries)
	}
	h.must("delete", "--force", id)
}
