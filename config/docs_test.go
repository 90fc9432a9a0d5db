package config

import (
	"os"
	"strings"
	"testing"
)

// TestDocsNameEveryKey holds that the page and the man page name every key.
func TestDocsNameEveryKey(t *testing.T) {
	for _, path := range []string{"../docs/config.md", "../docs/man/nemoclaw-config.5"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		keys := []string{
			"servers", "pool", "upstream_ca_file", "image", "policy",
			"host_network", "host_pid", "privileged", "unconfined", "engine_socket", "host_proc", "capabilities",
		}
		for k := range new(decoder).topLevel(Default()) {
			keys = append(keys, k)
		}
		for _, k := range keys {
			if !strings.Contains(string(text), k) {
				t.Errorf("%s does not name %s", path, k)
			}
		}
	}
}
