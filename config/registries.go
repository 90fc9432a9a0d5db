package config

import (
	"bufio"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nemoclaw/nemoclaw/policy"
)

// maxSettings bounds how much of a tool's settings file is read, in bytes.
const maxSettings = 1 << 20

// Registries reads which package registries this machine uses, from the
// settings of the tools themselves, so that a preset opens a company's mirror
// and nothing else. env is os.Getenv in programs. Files that are missing or
// unreadable name nothing; a kind that nobody has set is absent.
func Registries(env func(string) string) policy.Settings {
	m := machine{env: env, home: env("HOME")}
	found := map[string][]string{
		"npm":    m.npm(),
		"pypi":   m.pypi(),
		"go":     m.golang(),
		"debian": m.debian(),
		"cargo":  m.cargo(),
	}
	out := policy.Settings{Registries: map[string][]policy.Destination{}}
	for kind, urls := range found {
		for _, u := range urls {
			d, ok := destination(u)
			if ok && !slices.Contains(out.Registries[kind], d) {
				out.Registries[kind] = append(out.Registries[kind], d)
			}
		}
	}
	return out
}

// machine is where settings are looked for.
type machine struct {
	env  func(string) string
	home string
}

// lines gives the lines of files that match a pattern.
func (m machine) lines(patterns ...string) []string {
	var out []string
	for _, pattern := range patterns {
		if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
			if m.home == "" {
				continue
			}
			pattern = filepath.Join(m.home, rest)
		}
		names, _ := filepath.Glob(pattern) // the patterns are constants
		for _, name := range names {
			out = append(out, fileLines(name)...)
		}
	}
	return out
}

func fileLines(name string) []string {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > maxSettings {
		return nil
	}
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		out = append(out, strings.TrimSpace(s.Text()))
	}
	return out
}

// values gives what is assigned to a key: "key = value" or "key=value".
func values(lines []string, keys ...string) []string {
	var out []string
	for _, line := range lines {
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		k = strings.TrimSpace(k)
		for _, key := range keys {
			if k == key || strings.HasSuffix(k, ":"+key) {
				out = append(out, strings.Fields(strings.Trim(strings.TrimSpace(v), `"'`))...)
			}
		}
	}
	return out
}

func (m machine) npm() []string {
	if v := firstOf(m.env, "npm_config_registry", "NPM_CONFIG_REGISTRY"); v != "" {
		return []string{v}
	}
	return values(m.lines("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc", "~/.npmrc"), "registry")
}

func (m machine) pypi() []string {
	var out []string
	for _, name := range []string{"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"} {
		out = append(out, strings.Fields(m.env(name))...)
	}
	lines := m.lines("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf", "/etc/xdg/pip/pip.conf")
	return append(out, values(lines, "index-url", "extra-index-url")...)
}

// golang reads GOPROXY; go.env of the toolchain holds Go's own default.
func (m machine) golang() []string {
	v := m.env("GOPROXY")
	for _, file := range []string{"~/.config/go/env", "/usr/local/go/go.env", "/usr/lib/go/go.env", "/usr/lib/go-*/go.env"} {
		if v != "" {
			break
		}
		v = strings.Join(values(m.lines(file), "GOPROXY"), ",")
	}
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == '|' })
}

func (m machine) debian() []string {
	var out []string
	for _, line := range m.lines("/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list") {
		if strings.HasPrefix(line, "deb ") || strings.HasPrefix(line, "deb-src ") {
			out = append(out, strings.Fields(line)...)
		}
	}
	for _, line := range m.lines("/etc/apt/sources.list.d/*.sources") {
		if v, ok := strings.CutPrefix(line, "URIs:"); ok {
			out = append(out, strings.Fields(v)...)
		}
	}
	return out
}

func (m machine) cargo() []string {
	var out []string
	for _, v := range values(m.lines("~/.cargo/config.toml", "~/.cargo/config", "/usr/local/cargo/config.toml"), "registry", "index") {
		out = append(out, strings.TrimPrefix(v, "sparse+"))
	}
	return out
}

func firstOf(env func(string) string, names ...string) string {
	for _, name := range names {
		if v := env(name); v != "" {
			return v
		}
	}
	return ""
}

// destination reads a registry's URL; what is none (direct, off, a suite) is
// not a destination.
func destination(s string) (policy.Destination, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return policy.Destination{}, false
	}
	host, ok := policy.CanonicalHost(u.Hostname())
	if !ok {
		return policy.Destination{}, false
	}
	port := uint64(443)
	if u.Scheme == "http" {
		port = 80
	}
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return policy.Destination{}, false
		}
	}
	return policy.Destination{Host: host, Port: uint16(port)}, true
}
