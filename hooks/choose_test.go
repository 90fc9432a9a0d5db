package hooks

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/engine"
	"github.com/nemoclaw/nemoclaw/plan"
)

// yamlFor gives a policy that can be told apart by its first read_only path.
func yamlFor(mark string) string {
	return "version: 1\nfilesystem_policy:\n  read_only: [/" + mark + "]\n"
}

type world struct {
	host   *Host
	root   string // of the image
	record *engine.Record
	spec   *specs.Spec
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := config.Default()
	c.PolicyDir = t.TempDir()
	return &world{&Host{Config: c}, t.TempDir(), &engine.Record{Engine: "docker", Image: "claw:1", Labels: map[string]string{}, ImageLabels: map[string]string{}}, &specs.Spec{Annotations: map[string]string{}}}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestChooseOrder holds the order of architecture.md: each source is taken away
// in turn, and the next one counts.
func TestChooseOrder(t *testing.T) {
	w := newWorld(t)
	w.spec.Annotations[PolicyKey] = yamlFor("annotation")
	w.record.Labels[PolicyKey] = yamlFor("runlabel")
	w.record.ImageLabels[PolicyKey] = yamlFor("imagelabel")
	write(t, filepath.Join(w.host.Config.PolicyDir, "mapped.yaml"), yamlFor("map"))
	w.host.Config.Images = []config.ImageRule{{Image: "claw:*", Policy: "mapped"}}
	write(t, w.root+"/etc/nemoclaw/policy.yaml", yamlFor("file"))
	write(t, w.root+"/etc/openshell/policy.yaml", yamlFor("openshell"))
	w.host.Config.DefaultPolicy = filepath.Join(w.host.Config.PolicyDir, "default.yaml")
	write(t, w.host.Config.DefaultPolicy, yamlFor("default"))
	for _, step := range []struct {
		origin plan.Origin
		mark   string
		remove func()
	}{
		{plan.FromAnnotation, "/annotation", func() { delete(w.spec.Annotations, PolicyKey) }},
		{plan.FromRunLabel, "/runlabel", func() { w.record.Labels[PolicyKey] = w.record.ImageLabels[PolicyKey] }},
		{plan.FromImageMap, "/map", func() { w.host.Config.Images = nil }},
		{plan.FromImageLabel, "/imagelabel", func() { delete(w.record.Labels, PolicyKey) }},
		{plan.FromImageFile, "/file", func() { os.Remove(w.root + "/etc/nemoclaw/policy.yaml") }},
		{plan.FromImageFile, "/openshell", func() { os.Remove(w.root + "/etc/openshell/policy.yaml") }},
		{plan.FromHost, "/default", func() { w.host.Config.DefaultPolicy = "" }},
		{plan.FromBuiltin, "/", func() {}},
	} {
		c, err := w.host.choose(w.spec, w.record, w.root)
		if err != nil {
			t.Fatalf("%s: %v", step.origin, err)
		}
		if c.Origin != step.origin || c.doc.Filesystem.ReadOnly[0].Path != step.mark {
			t.Errorf("got %s %s, want %s %s", c.Origin, c.doc.Filesystem.ReadOnly[0].Path, step.origin, step.mark)
		}
		step.remove()
	}
}

// Where the image's own labels are unknown, a label counts as the image's.
func TestUnknownImageLabelsAreNotTheOperators(t *testing.T) {
	r := &engine.Record{Labels: map[string]string{PolicyKey: "x"}}
	if _, fromImage := policyLabel(r); !fromImage {
		t.Error("a label of an unknown image is taken for the operator's")
	}
}

func TestImageCannotNameHostPolicies(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.host.Config.PolicyDir, "generous.yaml"), yamlFor("generous"))
	w.record.Labels[PolicyKey] = "generous"
	w.record.ImageLabels[PolicyKey] = "generous"
	if c, err := w.host.choose(w.spec, w.record, w.root); err == nil {
		t.Fatalf("the image chose %s of the host", c.Name)
	}
	delete(w.record.ImageLabels, PolicyKey)
	if c, err := w.host.choose(w.spec, w.record, w.root); err != nil || c.Origin != plan.FromRunLabel {
		t.Fatalf("the operator could not: %v", err)
	}
}

// What stands where a policy file is looked for, and must not be opened.
func TestHostileImageFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	write(t, secret, yamlFor("host"))
	for name, make := range map[string]func(at string) error{
		"link to the host":  func(at string) error { return os.Symlink(secret, at) },
		"fifo":              func(at string) error { return syscall.Mkfifo(at, 0o644) },
		"directory":         func(at string) error { return os.Mkdir(at, 0o755) },
		"loop":              func(at string) error { return os.Symlink(at, at) },
		"magic link":        func(at string) error { return os.Symlink("/proc/self/root"+secret, at) },
		"dots to the host":  func(at string) error { return os.Symlink(strings.Repeat("../", 40)+secret, at) },
		"large":             func(at string) error { return os.WriteFile(at, make5MiB(), 0o644) },
		"not YAML":          func(at string) error { return os.WriteFile(at, []byte("\x00\x01"), 0o644) },
		"unknown key":       func(at string) error { return os.WriteFile(at, []byte("version: 1\nbogus: 1\n"), 0o644) },
		"unreadable format": func(at string) error { return os.WriteFile(at, []byte("{{{"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			at := w.root + "/etc/nemoclaw/policy.yaml"
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := make(at); err != nil {
				t.Fatal(err)
			}
			c, err := w.host.choose(w.spec, w.record, w.root)
			// A link that leads nowhere inside the image is no file: the default counts.
			if err == nil && c.Origin != plan.FromBuiltin {
				t.Errorf("chose %s from %s", c.Name, c.Origin)
			}
		})
	}
}

func make5MiB() []byte { return []byte("version: 1\n#" + strings.Repeat("x", 5<<20)) }

func TestLabelForms(t *testing.T) {
	w := newWorld(t)
	text := yamlFor("b64")
	for name, value := range map[string]string{
		"plain": text, "base64": base64.StdEncoding.EncodeToString([]byte(text)), "preset": "preset:github",
	} {
		c, err := w.host.inline(plan.FromImageLabel, "label", value)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.Digest == "" {
			t.Errorf("%s: no digest", name)
		}
	}
	if _, err := w.host.inline(plan.FromImageLabel, "label", strings.Repeat("a: b\n", 1<<20)); err == nil {
		t.Error("a label of 5 MiB was taken")
	}
}

func TestNarrowingOfOrigins(t *testing.T) {
	w := newWorld(t)
	wide := "version: 1\nnemoclaw: {capabilities: [CHOWN]}\n"
	for origin, want := range map[plan.Origin]int{plan.FromAnnotation: 1, plan.FromImageLabel: 0} {
		c, err := w.host.inline(origin, "x", wide)
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.host.narrow(c)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if in.Effective.Nemoclaw != nil {
			got = len(in.Effective.Nemoclaw.Capabilities)
		}
		if got != want {
			t.Errorf("%s: %d capabilities, want %d", origin, got, want)
		}
	}
}

func TestRunAs(t *testing.T) {
	w := newWorld(t)
	write(t, w.root+"/etc/passwd", "root:x:0:0::/:/bin/sh\nclaw:x:1000:1001::/:/bin/sh\nhuge:x:4294967296:1::/:\nneg:x:-1:1::/:\n")
	write(t, w.root+"/etc/group", "root:x:0:\nclaws:x:2000:claw\n")
	for _, tc := range []struct {
		user, group string
		uid, gid    uint32
		found       bool
	}{
		{"claw", "", 1000, 1001, true},
		{"claw", "claws", 1000, 2000, true},
		{"1000", "", 1000, 1001, true},
		{"4242", "", 4242, 4242, true},
		{"nobody", "", 0, 0, false},
		{"huge", "", 0, 0, false},
		{"neg", "", 0, 0, false},
		{"4294967296", "", 0, 0, false},
		{"2147483648", "", 0, 0, false},
		{"", "claws", 0, 0, false},
		{"claw", "none", 0, 0, false},
	} {
		doc := parseProcess(t, tc.user, tc.group)
		u := runAs(w.root, doc)
		if u.Found != tc.found || u.Found && (u.UID != tc.uid || u.GID != tc.gid) || !u.Found && u.Problem == "" {
			t.Errorf("%q:%q: %+v", tc.user, tc.group, u)
		}
	}
}

func TestPresetsAreAddedToTheOperatorsPolicyOnly(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.host.Config.PolicyDir, "presets", "ours.yaml"), `preset: {name: ours, description: our own}
network_policies:
  ours: {endpoints: [{host: ours.example.com, port: 443}], binaries: any}
`)
	w.spec.Annotations[PresetsKey] = "github,ours"
	c, err := w.host.addPresets(builtin(), w.spec)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, r := range c.doc.Network {
		keys = append(keys, r.Key)
	}
	if len(keys) < 2 || keys[len(keys)-1] != "ours" || c.Origin != plan.FromAnnotation || c.doc.Filesystem == nil {
		t.Errorf("rules %v, origin %s, filesystem %v", keys, c.Origin, c.doc.Filesystem)
	}
	image, err := w.host.inline(plan.FromImageLabel, "label", yamlFor("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.host.addPresets(image, w.spec); err == nil {
		t.Error("presets were added to an image's policy")
	}
	if _, err := w.host.inline(plan.FromImageLabel, "label", "preset:ours"); err == nil {
		t.Error("an image used a preset of the host")
	}
}
