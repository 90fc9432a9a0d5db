package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadExplicitMissing(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a named file that is not there was taken for the defaults")
	}
}

func TestLoadRefusesWritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("run_dir: /run/x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || c.RunDir != "/run/x" || c.Source != path {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, mode := range []os.FileMode{0o664, 0o646} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestLoadRefusesOtherThanFiles(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/dev/zero"} {
		if _, err := Load(path); err == nil {
			t.Errorf("%s was read as a configuration", path)
		}
	}
}

func TestLoadBoundsSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("# x\n", MaxSize/4+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("a file over the bound: %v", err)
	}
}

func TestHelper(t *testing.T) {
	c := Default()
	c.LibexecDir = t.TempDir()
	if _, err := c.Helper("nemoclaw-init"); err == nil || !strings.Contains(err.Error(), c.LibexecDir) {
		t.Errorf("missing helper: %v", err)
	}
	path := filepath.Join(c.LibexecDir, "nemoclaw-init")
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Helper("nemoclaw-init"); got != path || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Helper("nemoclaw-init"); err == nil {
		t.Error("a helper that anybody can write was taken")
	}
}

func TestPolicyForImage(t *testing.T) {
	for _, tc := range []struct {
		pattern, reference string
		want               bool
	}{
		{"openclaw", "openclaw", true},
		{"openclaw", "openclaw:2026.9.6", true},
		{"openclaw", "docker.io/library/openclaw:latest", true},
		{"docker.io/library/openclaw", "openclaw", true},
		{"openclaw", "evil/openclaw", false},
		{"openclaw", "openclaw-evil", false},
		{"openclaw:1", "openclaw:1", true},
		{"openclaw:1", "openclaw:2", false},
		{"openclaw:1", "openclaw", false},
		{"openclaw", "openclaw@sha256:abcd", true},
		{"ghcr.io/acme/*", "ghcr.io/acme/a:1", true},
		{"ghcr.io/acme/*", "ghcr.io/acme/a/b", false},
		{"reg.example:5000/a", "reg.example:5000/a:7", true},
		{"reg.example:5000/a", "reg.example", false},
		{"*", "openclaw:1", true},
		{"*", "acme/openclaw", false},
		{"", "", true},
	} {
		c := Config{Images: []ImageRule{{Image: tc.pattern, Policy: "p"}}}
		if _, got := c.PolicyForImage(tc.reference); got != tc.want {
			t.Errorf("pattern %q, image %q: %v, want %v", tc.pattern, tc.reference, got, tc.want)
		}
	}
}
