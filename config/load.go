package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxSize bounds a configuration file, in bytes.
const MaxSize = 1 << 20

// Default returns the configuration of a host that has no file.
func Default() *Config {
	return &Config{
		RunDir:          "/run/nemoclaw",
		StateDir:        "/var/lib/nemoclaw",
		LogDir:          "/var/log/nemoclaw",
		PolicyDir:       "/etc/nemoclaw/policies",
		ImagePolicy:     ImagePolicyHonour,
		OnUnenforceable: Refuse,
		DNS:             DNS{Pool: netip.MustParsePrefix("28.192.0.0/16")},
		UIDBase:         0x78000000,
	}
}

// Load reads the configuration from path, or from DefaultPath when path is "".
// Only there may the file be absent. A file that others than its owner and root
// may write is refused, because it decides what every sandbox may do.
func Load(path string) (*Config, error) {
	explicit := path != ""
	if !explicit {
		path = DefaultPath
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return Default(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	if err := trusted(f); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, data)
}

// trusted refuses a file that is not regular, or that somebody other than root
// and ourselves could have written.
func trusted(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("looking at %s: %w", f.Name(), err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s is not a regular file", f.Name())
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to uid %d: chown root %s", f.Name(), st.Uid, f.Name())
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written by others than its owner (mode %04o): chmod go-w %s", f.Name(), st.Mode&0o7777, f.Name())
	}
	return nil
}

// libexecDirs are where the helpers lie when libexec_dir does not say it and
// they are not beside the running program.
var libexecDirs = [...]string{"/usr/local/libexec/nemoclaw", "/usr/libexec/nemoclaw"}

// Helper finds one of our programs that people do not call themselves, such as
// "nemoclaw-init": in LibexecDir if that is set, else beside the running
// program, in /usr/local/libexec/nemoclaw and in /usr/libexec/nemoclaw. A file
// that others than root and its owner may write is refused, not passed over.
func (c *Config) Helper(name string) (string, error) {
	dirs := libexecDirs[:]
	if c.LibexecDir != "" {
		dirs = []string{c.LibexecDir}
	} else if self, err := os.Executable(); err == nil {
		dirs = append([]string{filepath.Dir(self)}, dirs...)
	}
	for _, dir := range dirs {
		p := filepath.Join(dir, name)
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("looking for %s: %w", name, err)
		}
		err = trusted(f)
		f.Close()
		if err != nil {
			return "", fmt.Errorf("looking for %s: %w", name, err)
		}
		return p, nil
	}
	return "", fmt.Errorf("looking for %s: it is not in %s", name, strings.Join(dirs, ", "))
}

// PolicyForImage returns the first rule that names the image, by the reference
// that the engine has on record. A rule without a tag or digest matches all of
// an image's tags; docker.io/library/ may be left out on both sides.
func (c *Config) PolicyForImage(reference string) (ImageRule, bool) {
	for _, r := range c.Images {
		if matchImage(r.Image, reference) {
			return r, true
		}
	}
	return ImageRule{}, false
}

func matchImage(pattern, reference string) bool {
	pattern, reference = shortName(pattern), shortName(reference)
	if ok, _ := path.Match(pattern, reference); ok {
		return true
	}
	if _, tag := splitTag(pattern); tag {
		return false
	}
	name, _ := splitTag(reference)
	ok, _ := path.Match(pattern, name)
	return ok
}

func shortName(s string) string {
	return strings.TrimPrefix(strings.TrimPrefix(s, "docker.io/"), "library/")
}

// splitTag cuts an image reference's tag and digest off. The colon of a
// registry's port has a slash after it.
func splitTag(s string) (name string, tagged bool) {
	name, _, tagged = strings.Cut(s, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], true
	}
	return name, tagged
}
