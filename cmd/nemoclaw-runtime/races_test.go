package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// cgroups lists what is left of a container's cgroups.
func cgroups(id string) []string {
	v1, _ := filepath.Glob("/sys/fs/cgroup/*/" + id)
	v2, _ := filepath.Glob("/sys/fs/cgroup/" + id)
	return append(v1, v2...)
}

// Many runtimes that make and remove one name take nothing from one another:
// whoever was told that its container is there has one that works.
func TestParallelCreatesOfOneName(t *testing.T) {
	h, id := newEnforced(t, ""), name(t)
	dir := bundle(t, sleeping, agentSpec)
	for round := range 3 {
		var made sync.Map
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				if h.command("create", "--bundle", dir, id).Run() == nil {
					made.Store(i, true)
				}
			})
		}
		wait.Wait()
		count := 0
		made.Range(func(any, any) bool { count++; return true })
		if count != 1 {
			t.Fatalf("round %d: %d creates have succeeded, want 1", round, count)
		}
		h.must("start", id)
		if out := h.sh(id, "echo alive"); out != "alive" {
			t.Errorf("round %d: %q", round, out)
		}
		for range 4 {
			wait.Go(func() { _ = h.command("delete", "--force", id).Run() })
		}
		wait.Wait()
		if left := h.remains(); len(left) > 0 {
			t.Errorf("round %d: left behind: %q", round, left)
		}
	}
}

// A runtime that is killed at any moment of create leaves nothing that delete
// does not find.
func TestKilledCreate(t *testing.T) {
	h, id := newEnforced(t, ""), name(t)
	dir := bundle(t, sleeping, agentSpec)
	before := helpersRunning(t)
	unfinished := 0
	for delay := time.Duration(0); delay < 160*time.Millisecond; delay += 4 * time.Millisecond {
		cmd := h.command("create", "--bundle", dir, id)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if r := h.run("start", id); r.Status == 0 {
			if out := h.sh(id, "echo x > /bin/x"); out == "" {
				t.Fatalf("after %v: a half-made container ran without its policy", delay)
			}
		} else if strings.Contains(r.Stderr, "never finished") {
			unfinished++
		}
		h.must("delete", "--force", id)
		if left := h.remains(); len(left) > 0 {
			t.Fatalf("after %v: left behind: %q", delay, left)
		}
		if left := cgroups(id); len(left) > 0 {
			t.Fatalf("after %v: cgroups left behind: %q", delay, left)
		}
	}
	t.Logf("%d of 40 were unfinished and could not be started", unfinished)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		after := helpersRunning(t)
		if after <= before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d helpers and inits are left running", after-before)
		}
	}
}

// helpersRunning counts the processes of this test's programs.
func helpersRunning(t *testing.T) int {
	t.Helper()
	libexec, err := helpers()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if strings.HasPrefix(exe, libexec) || exe == self && bytes.Contains(line, []byte("init")) {
			n++
		}
	}
	return n
}
