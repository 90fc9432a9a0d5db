package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

func TestRegistriesAreThoseOfTheMachine(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(".npmrc", "registry=https://npm.mirror.example/api/\n@corp:registry = https://corp.mirror.example:8443/\n")
	write(".config/pip/pip.conf", "[global]\nindex-url = http://pip.mirror.example/simple\n")
	write(".cargo/config.toml", "[source.corp]\nregistry = \"sparse+https://cargo.mirror.example/index/\"\n")
	env := map[string]string{"HOME": home, "GOPROXY": "https://go.mirror.example,direct"}
	s := Registries(func(k string) string { return env[k] })
	for kind, want := range map[string]string{"pypi": "pip.mirror.example:80", "cargo": "cargo.mirror.example:443", "go": "go.mirror.example:443"} {
		if got := s.Registries[kind]; len(got) == 0 || !hasDestination(got, want) {
			t.Errorf("%s: %v, want %s", kind, got, want)
		}
	}
	if got := s.Registries["npm"]; !hasDestination(got, "npm.mirror.example:443") || !hasDestination(got, "corp.mirror.example:8443") {
		t.Errorf("npm: %v", got)
	}
	if len(s.Registries["go"]) != 1 {
		t.Errorf("direct is no destination: %v", s.Registries["go"])
	}
}

func hasDestination(list []policy.Destination, want string) bool {
	return slices.ContainsFunc(list, func(d policy.Destination) bool { return fmt.Sprintf("%s:%d", d.Host, d.Port) == want })
}
