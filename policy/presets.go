package policy

import (
	"embed"
	"fmt"
	"slices"
	"sort"
	"strings"
)

//go:embed presets/*.yaml
var presetFiles embed.FS

// Settings are what presets need to know of the machine. Package registries
// are never named here: their hosts are the machine's own, so that a company's
// mirror works too. The caller reads them; see [RegistryKinds].
type Settings struct {
	// Registries gives the destinations of each kind of package registry; a
	// kind that is missing makes its preset an error.
	Registries map[string][]Destination
}

// Destination is a host and port that a registry is reached at.
type Destination struct {
	Host string
	Port uint16 // 0: 443
}

// registryKind describes the preset of one kind of package registry.
type registryKind struct {
	name     string
	read     string   // description of the read-only variant
	publish  []string // methods that the -rw variant adds; nil: there is none
	binaries []string
}

// registryKinds: the tools that fetch, by the paths of Debian's and the
// vendors' packages. An agent's plugins run as node.
func registryKinds() []registryKind {
	node := []string{"/usr/local/bin/node", "/usr/bin/node"}
	return []registryKind{
		{"npm", "npm packages: install", []string{"PUT", "POST", "DELETE"}, node},
		{"pypi", "Python packages: install with pip or uv", []string{"POST"}, []string{"/usr/bin/python3*", "/usr/local/bin/python3*", "/usr/local/bin/uv", "/usr/bin/uv"}},
		{"go", "Go modules: download from the module proxy", nil, []string{"/usr/local/go/bin/go", "/usr/lib/go*/bin/go", "/usr/bin/go"}},
		{"debian", "Debian packages: install with apt", nil, []string{"/usr/lib/apt/methods/*"}},
		{"cargo", "Rust crates: download with cargo", []string{"PUT", "DELETE"}, []string{"/usr/bin/cargo", "/usr/local/cargo/bin/cargo", "/usr/local/rustup/toolchains/*/bin/cargo"}},
	}
}

// RegistryKinds gives the kinds that Settings.Registries may name.
func RegistryKinds() []string {
	var out []string
	for _, k := range registryKinds() {
		out = append(out, k.name)
	}
	return out
}

// PresetNames gives every built-in preset with its description, sorted.
func PresetNames() []PresetInfo {
	var out []PresetInfo
	entries, _ := presetFiles.ReadDir("presets") // embedded: cannot fail
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".yaml")
		if doc, err := embeddedPreset(name); err == nil {
			out = append(out, *doc.Preset)
		}
	}
	for _, k := range registryKinds() {
		at := Position{File: "preset " + k.name}
		out = append(out, PresetInfo{Name: k.name, Description: k.read, At: at})
		if k.publish != nil {
			out = append(out, PresetInfo{Name: k.name + "-rw", Description: k.read + ", and publish", At: at})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// PresetSource gives the text of a built-in preset, for people to start from.
// Presets of package registries have none: they are made from Settings.
func PresetSource(name string) ([]byte, bool) {
	if !isName(name) {
		return nil, false
	}
	data, err := presetFiles.ReadFile("presets/" + name + ".yaml")
	return data, err == nil
}

// Preset gives a built-in preset as a fragment for Merge.
func Preset(name string, s Settings) (*Document, error) {
	if _, ok := PresetSource(name); ok {
		return embeddedPreset(name)
	}
	base, write := strings.CutSuffix(name, "-rw")
	for _, k := range registryKinds() {
		if k.name == base && (!write || k.publish != nil) {
			return registryPreset(k, write, s)
		}
	}
	var names []string
	for _, p := range PresetNames() {
		names = append(names, p.Name)
	}
	if near := nearest(name, names); near != "" {
		return nil, fmt.Errorf("there is no preset %q; did you mean %q?", printable(name), near)
	}
	return nil, fmt.Errorf("there is no preset %q; nemoclaw policy presets lists them", printable(name))
}

func embeddedPreset(name string) (*Document, error) {
	data, err := presetFiles.ReadFile("presets/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("reading preset %q: %w", printable(name), err)
	}
	doc, _, err := Parse("preset "+name, data)
	if err != nil {
		return nil, fmt.Errorf("reading preset %q: %w", printable(name), err)
	}
	return doc, nil
}

// registryPreset makes the fragment of a package registry.
func registryPreset(k registryKind, write bool, s Settings) (*Document, error) {
	name := k.name
	if write {
		name += "-rw"
	}
	at := Position{File: "preset " + name}
	r := NetworkRule{Key: strings.ReplaceAll(name, "-", "_"), Name: name, At: at}
	for _, d := range s.Registries[k.name] {
		host, ok := CanonicalHost(d.Host)
		if !ok {
			return nil, fmt.Errorf("making preset %s: the machine's setting %q is not a host", name, printable(d.Host))
		}
		port := d.Port
		if port == 0 {
			port = 443
		}
		r.Endpoints = append(r.Endpoints, registryEndpoint(host, port, k, write, at))
	}
	if len(r.Endpoints) == 0 {
		return nil, fmt.Errorf("making preset %s: the machine's settings name no %s registry", name, k.name)
	}
	for _, path := range k.binaries {
		r.Binaries = append(r.Binaries, Binary{Path: path, At: at})
	}
	info := &PresetInfo{Name: name, Description: k.read, At: at}
	return &Document{Name: at.File, Preset: info, Network: []NetworkRule{r}}, nil
}

func registryEndpoint(host string, port uint16, k registryKind, write bool, at Position) Endpoint {
	e := Endpoint{At: at, Host: host, Ports: []uint16{port}, Protocol: ProtocolREST, Enforcement: EnforcementEnforce}
	// npm asks its audit service with POST for every install.
	methods := []string{"GET"}
	if write {
		methods = append(methods, k.publish...)
	}
	for _, m := range methods {
		e.Rules = append(e.Rules, Rule{At: at, Method: m, Path: "**"})
	}
	if k.name == "npm" && !slices.Contains(methods, "POST") {
		e.Rules = append(e.Rules, Rule{At: at, Method: "POST", Path: "/**/security/**"}, Rule{At: at, Method: "POST", Path: "/-/npm/v1/security/**"})
	}
	// Scoped packages are asked for as @scope%2Fname.
	e.AllowEncodedSlash = k.name == "npm"
	return e
}

// Presets merges built-in presets into one fragment.
func Presets(names []string, s Settings) (*Document, error) {
	var docs []*Document
	for _, name := range names {
		d, err := Preset(name, s)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return Merge(docs...)
}
