package lab

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Image is a recipe for an image without a registry: busybox, the probe
// program, and curl and nft with their libraries.
type Image struct {
	Name   string            // of the image; lower case
	Policy string            // YAML for LABEL io.nemoclaw.policy, in base64; "" for no label
	Label  string            // the label's raw value instead of Policy
	Files  map[string]string // path to content; further files, mode 0644
	Links  map[string]string // path to target; symbolic links
	Dirs   []string          // further directories, mode 0755
	User   string            // USER; "" is root
	Change []string          // further `docker import --change` lines
}

// Label is a policy as a label's value: base64 survives every tool's quoting.
func Label(policy string) string { return base64.StdEncoding.EncodeToString([]byte(policy)) }

// Build imports the image and returns its reference.
func (e *Engine) Build(im Image) (string, error) {
	layer, err := im.tar()
	if err != nil {
		return "", fmt.Errorf("making image %s: %w", im.Name, err)
	}
	args := []string{"import"}
	change := func(line string) { args = append(args, "--change", line) }
	change("ENV PATH=/usr/local/bin:/usr/bin:/bin")
	change("WORKDIR /work")
	change(`CMD ["/bin/sh"]`)
	if im.User != "" {
		change("USER " + im.User)
	}
	switch {
	case im.Label != "":
		change("LABEL io.nemoclaw.policy=" + im.Label)
	case im.Policy != "":
		change("LABEL io.nemoclaw.policy=" + Label(im.Policy))
	}
	for _, line := range im.Change {
		change(line)
	}
	file := filepath.Join(e.Dir, "layer.tar")
	if err := os.WriteFile(file, layer, 0o600); err != nil {
		return "", err
	}
	defer os.Remove(file)
	if _, err := e.Docker(append(args, file, im.Name+":latest")...); err != nil {
		return "", err
	}
	e.Images[im.Name] = im.Name + ":latest"
	return im.Name + ":latest", nil
}

// applets of busybox that tests use; a few names stay free for real programs.
var applets = strings.Fields(`sh cat ls echo mkdir rm ln mv cp touch id true false sleep stat readlink env
	wget nc nslookup ping unshare mount umount ps kill head tail grep chmod chown dd test hostname ip seq wc date`)

func (im Image) tar() ([]byte, error) {
	var buf bytes.Buffer
	t := &treeWriter{w: tar.NewWriter(&buf), have: map[string]bool{}}
	for _, d := range append([]string{"tmp", "work", "data", "proc", "sys", "dev", "root", "etc/ssl/certs", "usr/bin", "var/log"}, im.Dirs...) {
		t.dir(strings.Trim(d, "/"))
	}
	t.file("etc/passwd", []byte("root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/work:/bin/sh\n"), 0o644)
	t.file("etc/group", []byte("root:x:0:\nagent:x:1000:\n"), 0o644)
	t.file("etc/nsswitch.conf", []byte("hosts: files dns\n"), 0o644)
	t.file("etc/ssl/certs/ca-certificates.crt", nil, 0o644)
	t.copy("bin/busybox", "/bin/busybox")
	for _, a := range applets {
		t.link("bin/"+a, "busybox")
	}
	probe, err := probeProgram()
	if err != nil {
		return nil, err
	}
	t.copy("bin/probe", probe)
	t.withLibraries("usr/bin/curl", "/usr/bin/curl")
	t.withLibraries("usr/bin/nft", "/usr/sbin/nft")
	for path, content := range im.Files {
		t.file(strings.TrimPrefix(path, "/"), []byte(content), 0o644)
	}
	for path, target := range im.Links {
		t.link(strings.TrimPrefix(path, "/"), target)
	}
	return buf.Bytes(), errors.Join(t.err, t.w.Close())
}

// treeWriter adds entries to a tar, with the first error kept.
type treeWriter struct {
	w    *tar.Writer
	have map[string]bool
	err  error
}

func (t *treeWriter) add(h *tar.Header, content []byte) {
	if t.err != nil || t.have[h.Name] {
		return
	}
	if parent := filepath.Dir(h.Name); parent != "." {
		t.dir(parent)
	}
	t.have[h.Name] = true
	if t.err = t.w.WriteHeader(h); t.err == nil {
		_, t.err = t.w.Write(content)
	}
}

func (t *treeWriter) dir(name string) {
	mode := int64(0o755)
	if name == "tmp" || name == "work" || name == "data" {
		mode = 0o1777
	}
	t.add(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, nil)
}

func (t *treeWriter) file(name string, content []byte, mode int64) {
	t.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}, content)
}

func (t *treeWriter) link(name, target string) {
	t.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

func (t *treeWriter) copy(name, from string) {
	b, err := os.ReadFile(from)
	t.err = errors.Join(t.err, err)
	t.file(name, b, 0o755)
}

var libraryLine = regexp.MustCompile(`(/[^ ]+) \(0x`)

// withLibraries adds a dynamic program of this machine and what ldd names.
func (t *treeWriter) withLibraries(name, from string) {
	t.copy(name, from)
	out, err := exec.Command("ldd", from).Output()
	t.err = errors.Join(t.err, err)
	for _, m := range libraryLine.FindAllStringSubmatch(string(out), -1) {
		t.copy(strings.TrimPrefix(m[1], "/"), m[1])
	}
	for _, nss := range []string{"libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"} {
		path := "/lib/x86_64-linux-gnu/" + nss
		if _, err := os.Stat(path); err == nil {
			t.copy(strings.TrimPrefix(path, "/"), path)
		}
	}
}

// probeProgram builds integration/probe once for this checkout and returns its path.
func probeProgram() (string, error) {
	root, err := RepoRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(root, ".cache", "probe")
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "./integration/probe")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return out, runScript(cmd)
}
