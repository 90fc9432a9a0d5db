package policy_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

func newKey(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func TestSignedPolicies(t *testing.T) {
	public, private := newKey(t)
	other, _ := newKey(t)
	text := []byte("version: 1\n")
	data, err := policy.Sign(text, "agent", 7, private)
	if err != nil {
		t.Fatal(err)
	}
	got, err := policy.Verify(data, []ed25519.PublicKey{other, public}, 7)
	if err != nil || !bytes.Equal(got.Text, text) || got.Counter != 7 || got.Name != "agent" || got.KeyID != policy.KeyID(public) {
		t.Fatalf("%+v %v", got, err)
	}
	refused := map[string]func() error{
		"another key": func() error { _, err := policy.Verify(data, []ed25519.PublicKey{other}, 0); return err },
		"no key":      func() error { _, err := policy.Verify(data, nil, 0); return err },
		"an older counter": func() error {
			_, err := policy.Verify(data, []ed25519.PublicKey{public}, 8)
			return err
		},
		"a changed payload": func() error {
			var e map[string]any
			if err := json.Unmarshal(data, &e); err != nil {
				t.Fatal(err)
			}
			e["payload"] = "eyJjb3VudGVyIjo5LCJwb2xpY3kiOiIifQ=="
			changed, _ := json.Marshal(e)
			_, err := policy.Verify(changed, []ed25519.PublicKey{public}, 0)
			return err
		},
		"another type": func() error {
			_, err := policy.Verify(bytes.Replace(data, []byte("vnd.nemoclaw"), []byte("vnd.other"), 1), []ed25519.PublicKey{public}, 0)
			return err
		},
		"plain YAML": func() error { _, err := policy.Verify(text, []ed25519.PublicKey{public}, 0); return err },
	}
	for name, try := range refused {
		if err := try(); err == nil || !strings.HasPrefix(err.Error(), "verifying a policy: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := policy.Sign([]byte("version: 2\n"), "", 1, private); err == nil {
		t.Error("an invalid policy was signed")
	}
}
