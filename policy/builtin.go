package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Builtin is the policy of a container that has none: the system read-only,
// the work directory and /tmp writable, no network. Every call gives a new one.
func Builtin() *Document {
	const name = "built-in default"
	at := Position{File: name}
	return &Document{
		Version: 1,
		Name:    name,
		Filesystem: &Filesystem{
			IncludeWorkdir: true,
			ReadOnly:       []Path{{Path: "/", At: at}},
			ReadWrite:      []Path{{Path: "/tmp", At: at, Optional: true}},
			At:             at,
		},
		Landlock: &Landlock{Compatibility: BestEffort, At: at},
	}
}

// BuiltinCeiling is what an image's own policy may have at most: exact names
// of public hosts on ports 80 and 443, enforced; paths inside itself; models
// over the routes that the operator has defined; nothing of the host.
func BuiltinCeiling() *Document {
	const name = "built-in ceiling"
	at := Position{File: name}
	return &Document{
		Version: 1,
		Name:    name,
		Filesystem: &Filesystem{
			IncludeWorkdir: true,
			ReadWrite:      []Path{{Path: "/", At: at}},
			At:             at,
		},
		Landlock: &Landlock{Compatibility: BestEffort, At: at},
		Nemoclaw: &Extensions{
			At:          at,
			Ceiling:     true,
			PublicHosts: &PublicHosts{Ports: []uint16{80, 443}, At: at},
			Inference:   &Inference{AnyBinary: true, At: at},
		},
	}
}

// baselineReadOnly and baselineReadWrite are what a process needs to use the
// network at all; the format adds them to every policy that has a network rule.
func baselineReadOnly() []string {
	return []string{"/usr", "/lib", "/etc", "/app", "/var/log", "/proc", "/dev/urandom"}
}

func baselineReadWrite() []string { return []string{"/tmp", "/dev/null"} }

// systemReadOnly are the parts of a file system that is not merged into /usr;
// they belong to the default lists so that such an image can run its programs.
func systemReadOnly() []string { return []string{"/bin", "/sbin", "/lib32", "/lib64"} }

// EffectiveFilesystem gives the paths with the format's defaults applied. They
// are marked Optional: where they do not exist, nothing is missing. A narrowed
// document gives exactly its own lists, since defaults could exceed a ceiling.
func (d *Document) EffectiveFilesystem() Filesystem {
	if len(d.Within) > 0 && d.Filesystem != nil {
		return *d.Filesystem
	}
	if d.Filesystem == nil {
		f := Filesystem{IncludeWorkdir: true, At: Position{File: d.Name}}
		f.add(baselineReadOnly(), baselineReadWrite())
		f.add(systemReadOnly(), nil)
		return f
	}
	f := Filesystem{IncludeWorkdir: d.Filesystem.IncludeWorkdir, At: d.Filesystem.At}
	f.ReadOnly = append(f.ReadOnly, d.Filesystem.ReadOnly...)
	f.ReadWrite = append(f.ReadWrite, d.Filesystem.ReadWrite...)
	if len(d.Network) > 0 {
		f.add(baselineReadOnly(), baselineReadWrite())
	}
	return f
}

// add appends default paths that are in neither list.
func (f *Filesystem) add(readOnly, readWrite []string) {
	for _, p := range readOnly {
		if !f.lists(p) {
			f.ReadOnly = append(f.ReadOnly, Path{Path: p, At: f.At, Optional: true})
		}
	}
	for _, p := range readWrite {
		if !f.lists(p) {
			f.ReadWrite = append(f.ReadWrite, Path{Path: p, At: f.At, Optional: true})
		}
	}
}

func (f *Filesystem) lists(path string) bool {
	for _, list := range [...][]Path{f.ReadOnly, f.ReadWrite} {
		for _, p := range list {
			if p.Path == path {
				return true
			}
		}
	}
	return false
}

// Digest names the document's content, "sha256:" and hex: the bytes that were
// parsed, and for a narrowed document also every ceiling's.
func (d *Document) Digest() string {
	h := sha256.New()
	h.Write([]byte(d.ownDigest()))
	for _, w := range d.Within {
		h.Write([]byte(w.ownDigest()))
	}
	if len(d.Within) == 0 {
		return "sha256:" + d.ownDigest()
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// ownDigest is the hex digest of the document without its ceilings.
func (d *Document) ownDigest() string {
	if d.SHA256 != "" {
		return d.SHA256
	}
	plain := *d
	plain.Within = nil
	data, err := json.Marshal(&plain)
	if err != nil {
		// Only a middleware's config can hold what JSON cannot (a NaN does not
		// decode); an empty digest never equals one that was recorded.
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
