package main

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The agent starts with its three standard streams and nothing of ours.
func TestDescriptorsOfTheAgent(t *testing.T) {
	h, id := newEnforced(t, ""), name(t)
	dir := bundle(t, "ls -l /proc/self/fd > /tmp/fds; "+sleeping, agentSpec)
	applets(t, dir, "ls")
	h.start(dir, id)
	exec := h.sh(id, "ls -l /proc/self/fd")
	create, _ := os.ReadFile(root(dir, "tmp/fds"))
	for what, fds := range map[string]string{"create": string(create), "exec": exec} {
		for _, ours := range []string{"landlock", "memfd", "nemoclaw", "socket:"} {
			if strings.Contains(fds, ours) {
				t.Errorf("%s: %s", what, fds)
			}
		}
	}
}

// A hook of the host that runs in the container's namespaces gets nothing of
// the image's environment (LD_PRELOAD, CVE-2025-23266).
func TestHookEnvironment(t *testing.T) {
	h, id := newEnforced(t, ""), name(t)
	out := t.TempDir() + "/env"
	dir := bundle(t, sleeping, func(s *specs.Spec) {
		agentSpec(s)
		s.Process.Env = append(s.Process.Env, "LD_PRELOAD=/evil.so")
		s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/busybox", Args: []string{"busybox", "sh", "-c", "env > " + out}}}}
	})
	h.start(dir, id)
	if env, err := os.ReadFile(out); err != nil || strings.Contains(string(env), "LD_PRELOAD") {
		t.Errorf("%v: %s", err, env)
	}
}
