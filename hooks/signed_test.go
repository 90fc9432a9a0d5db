package hooks

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/policy"
)

// signedWorld is a host that trusts one key, and what that key signs.
func signedWorld(t *testing.T) (*world, func(mark string, counter uint64) string) {
	t.Helper()
	w := newWorld(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pub")
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	w.host.Config.ImagePolicy = config.ImagePolicySigned
	w.host.Config.ImagePolicyKeys = []string{file}
	w.host.Config.StateDir = t.TempDir()
	return w, func(mark string, counter uint64) string {
		data, err := policy.Sign([]byte(yamlFor(mark)), "claw", counter, private)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

func (w *world) imageLabel(value string) {
	w.record.Labels[PolicyKey], w.record.ImageLabels[PolicyKey] = value, value
}

func TestSignedImagePolicy(t *testing.T) {
	w, sign := signedWorld(t)
	w.imageLabel(sign("one", 3))
	c, err := w.host.choose(w.spec, w.record, w.root)
	if err != nil || c.doc.Filesystem.ReadOnly[0].Path != "/one" {
		t.Fatalf("%+v %v", c, err)
	}
	w.imageLabel(base64.StdEncoding.EncodeToString([]byte(sign("two", 4))))
	if c, err = w.host.choose(w.spec, w.record, w.root); err != nil || c.doc.Filesystem.ReadOnly[0].Path != "/two" {
		t.Fatalf("as base64: %+v %v", c, err)
	}
	w.imageLabel(sign("one", 3))
	if _, err = w.host.choose(w.spec, w.record, w.root); err == nil || !strings.Contains(err.Error(), "cannot come back") {
		t.Errorf("an old policy came back: %v", err)
	}
	w.imageLabel("")
	write(t, w.root+"/etc/nemoclaw/policy.yaml", sign("file", 5))
	if c, err = w.host.choose(w.spec, w.record, w.root); err != nil || c.doc.Filesystem.ReadOnly[0].Path != "/file" {
		t.Errorf("as a file: %+v %v", c, err)
	}
}

func TestUnsignedImagePolicyIsRefused(t *testing.T) {
	w, _ := signedWorld(t)
	_, foreign := signedWorld(t)
	for name, label := range map[string]string{"plain": yamlFor("plain"), "another key": foreign("x", 9), "preset": "preset:github", "name": "default"} {
		w.imageLabel(label)
		if c, err := w.host.choose(w.spec, w.record, w.root); err == nil || !strings.Contains(err.Error(), "signed") {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	w.imageLabel("")
	if c, err := w.host.choose(w.spec, w.record, w.root); err != nil || c.doc.Name != "built-in default" {
		t.Errorf("an image without a policy: %+v %v", c, err)
	}
	write(t, filepath.Join(w.host.Config.StateDir, countersFile), "torn{")
	w, sign := signedWorld(t)
	write(t, filepath.Join(w.host.Config.StateDir, countersFile), "torn{")
	w.imageLabel(sign("x", 1))
	if _, err := w.host.choose(w.spec, w.record, w.root); err == nil {
		t.Error("a torn record of counters was taken for an empty one")
	}
}
