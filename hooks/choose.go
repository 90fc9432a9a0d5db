package hooks

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/config"
	"github.com/nemoclaw/nemoclaw/engine"
	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/policy"
)

const (
	// PolicyKey is the annotation and label that carries a policy.
	PolicyKey = "io.nemoclaw.policy"
	// PresetsKey is the operator's annotation that adds presets to a policy.
	PresetsKey = "io.nemoclaw.presets"
	// maxPolicy bounds a policy document (policy-schema.md, "Top level").
	maxPolicy = 4 << 20
)

// imagePolicyFiles are where a policy lies in an image, the first that is there counts.
var imagePolicyFiles = []string{"/etc/nemoclaw/policy.yaml", "/etc/openshell/policy.yaml"}

// chosen is a policy before it was narrowed.
type chosen struct {
	plan.Document
	doc *policy.Document
}

// choose finds the policy of a container: the order of architecture.md, "Public
// names".
func (h *Host) choose(spec *specs.Spec, record *engine.Record, root string) (*chosen, error) {
	if v := spec.Annotations[PolicyKey]; v != "" {
		return h.inline(plan.FromAnnotation, "annotation:"+PolicyKey, v)
	}
	label, fromImage := policyLabel(record)
	if label != "" && !fromImage {
		return h.inline(plan.FromRunLabel, "label:"+PolicyKey, label)
	}
	if record != nil {
		if rule, ok := h.Config.PolicyForImage(record.Image); ok {
			return h.named(plan.FromImageMap, rule.Policy)
		}
	}
	switch h.Config.ImagePolicy {
	case config.ImagePolicySigned:
		c, err := h.signed(label, root)
		if c != nil || err != nil {
			return c, err
		}
	case config.ImagePolicyIgnore:
	default:
		c, err := h.ofImage(label, root)
		if c != nil || err != nil {
			return c, err
		}
	}
	if h.Config.DefaultPolicy != "" {
		return h.file(plan.FromHost, h.Config.DefaultPolicy)
	}
	return builtin(), nil
}

// policyLabel returns the policy among the record's labels, and whether it is
// the image author's word: only a label that differs from the image's own is
// the operator's. Where the image's own labels are unknown it counts as theirs.
func policyLabel(record *engine.Record) (value string, fromImage bool) {
	if record == nil {
		return "", false
	}
	value = record.Labels[PolicyKey]
	if record.ImageLabels == nil {
		return value, true
	}
	own, has := record.ImageLabels[PolicyKey]
	return value, has && own == value
}

func (h *Host) ofImage(label, root string) (*chosen, error) {
	if label != "" {
		return h.inline(plan.FromImageLabel, "label:"+PolicyKey, label)
	}
	for _, name := range imagePolicyFiles {
		text, err := readBelow(root, name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the image's policy %s: %w", name, err)
		}
		return parse(plan.FromImageFile, "image:"+name, text)
	}
	return nil, nil
}

func builtin() *chosen {
	doc := policy.Builtin()
	return &chosen{plan.Document{Origin: plan.FromBuiltin, Name: doc.Name, Digest: doc.Digest()}, doc}
}

// inline reads the value of an annotation or label (policy.ParseLabel). An
// image cannot name what lies on the host.
func (h *Host) inline(origin plan.Origin, name, value string) (*chosen, error) {
	label, err := policy.ParseLabel(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	switch label.Kind {
	case policy.LabelInline:
		return parse(origin, name, label.Data)
	case policy.LabelPresets:
		return h.presets(origin, name, label.Names)
	case policy.LabelName:
		if origin.Untrusted() {
			return nil, fmt.Errorf("%s: %q is neither YAML nor base64 of it; only the operator may name a policy of the host", name, bounded(value))
		}
		return h.named(origin, label.Names[0])
	}
	return nil, fmt.Errorf("%s: its kind is unknown", name)
}

// presets puts presets together. A preset of policy_dir comes before a built-in
// one of its name, but not for an image: that is the host's.
func (h *Host) presets(origin plan.Origin, name string, names []string) (*chosen, error) {
	settings := config.Registries(os.Getenv)
	var docs []*policy.Document
	for _, preset := range names {
		doc, err := h.preset(origin, preset, settings)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		docs = append(docs, doc)
	}
	doc, err := policy.Merge(docs...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &chosen{plan.Document{Origin: origin, Name: name, Digest: doc.Digest()}, doc}, nil
}

func (h *Host) preset(origin plan.Origin, name string, settings policy.Settings) (*policy.Document, error) {
	file := filepath.Join(h.Config.PolicyDir, "presets", name+".yaml")
	if _, err := os.Stat(file); err != nil || origin.Untrusted() {
		return policy.Preset(name, settings)
	}
	c, err := h.file(origin, file)
	if err != nil {
		return nil, err
	}
	return c.doc, nil
}

// addPresets adds the presets of the operator's annotation to a policy of the
// operator's. An image's policy is clamped by a ceiling that the operator's own
// words are not under, so the two cannot be one document.
func (h *Host) addPresets(c *chosen, spec *specs.Spec) (*chosen, error) {
	list := spec.Annotations[PresetsKey]
	if list == "" {
		return c, nil
	}
	if c.Origin.Untrusted() {
		return nil, fmt.Errorf("annotation %s: the policy in force is the image's own (%s), to which nothing can be added; give one with --annotation %s too", PresetsKey, c.Name, PolicyKey)
	}
	names, err := policy.SplitNames(list)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", PresetsKey, err)
	}
	more, err := h.presets(plan.FromAnnotation, "annotation:"+PresetsKey, names)
	if err != nil {
		return nil, err
	}
	doc, err := policy.Merge(c.doc, more.doc)
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", PresetsKey, err)
	}
	return &chosen{plan.Document{Origin: plan.FromAnnotation, Name: doc.Name, Digest: doc.Digest()}, doc}, nil
}

// named reads a policy of policy_dir by its name, or a file by an absolute path.
func (h *Host) named(origin plan.Origin, name string) (*chosen, error) {
	if filepath.IsAbs(name) && origin != plan.FromAnnotation && origin != plan.FromRunLabel {
		return h.file(origin, name)
	}
	if strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
		return nil, fmt.Errorf("policy %q: a name is looked up in %s and has no slash", bounded(name), h.Config.PolicyDir)
	}
	file := filepath.Join(h.Config.PolicyDir, name)
	if filepath.Ext(file) == "" {
		file += ".yaml"
	}
	return h.file(origin, file)
}

func (h *Host) file(origin plan.Origin, name string) (*chosen, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		// Not in errno's words: engines take those for a missing program.
		return nil, fmt.Errorf("reading a policy: there is no file %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a policy: %w", err)
	}
	defer f.Close()
	text, err := readBounded(f)
	if err != nil {
		return nil, fmt.Errorf("reading policy %s: %w", name, err)
	}
	return parse(origin, name, text)
}

func parse(origin plan.Origin, name string, text []byte) (*chosen, error) {
	doc, _, err := policy.Parse(name, text)
	if err != nil {
		return nil, err
	}
	return &chosen{plan.Document{Origin: origin, Name: name, Digest: digest(text), Text: string(text)}, doc}, nil
}

// ceiling is what clamps a policy of this origin: the operator's where there is
// one, for an image the built-in one else. An operator's word is clamped by the
// operator's ceiling too: it holds for the whole host.
func (h *Host) ceiling(origin plan.Origin) (*chosen, error) {
	if h.Config.Ceiling != "" {
		return h.file(plan.FromCeiling, h.Config.Ceiling)
	}
	if !origin.Untrusted() {
		return nil, nil
	}
	doc := policy.BuiltinCeiling()
	return &chosen{plan.Document{Origin: plan.FromBuiltinMax, Name: doc.Name, Digest: doc.Digest()}, doc}, nil
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// bounded cuts hostile text for an error.
func bounded(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
