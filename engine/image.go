package engine

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
)

// contentDir is containerd's content store below its root.
const contentDir = "io.containerd.content.v1.content"

// systemContainerd is the root of the containerd that distributions start.
const systemContainerd = "/var/lib/containerd"

// imageConfig is what is needed of an image's configuration, in Docker's form
// and in OCI's.
type imageConfig struct {
	Config *struct {
		Labels map[string]string
	} `json:"config"`
}

// dockerImageLabels reads the labels of the image's own configuration, from
// Docker's image store or from containerd's. Nil without an error: the image is
// in neither, or is there in a form we do not know.
//
// Every blob is checked against its digest, so that it does not matter which of
// the places it was found in.
func dockerImageLabels(dataRoot *os.File, root string, c *dockerConfig, spec *specs.Spec) (map[string]string, error) {
	if hash, ok := sha256Digest(c.Image); ok && isName(c.Driver) {
		labels, err := labelsOf(dataRoot, "image/"+c.Driver+"/imagedb/content/sha256/", hash)
		if !errors.Is(err, fs.ErrNotExist) {
			return labels, err
		}
	}
	manifest := c.Image
	if c.ImageManifest != nil {
		manifest = c.ImageManifest.Digest
	}
	hash, ok := sha256Digest(manifest)
	if !ok {
		return nil, nil
	}
	for _, store := range containerdRoots(root, spec) {
		labels, err := containerdLabels(store, hash)
		if !errors.Is(err, fs.ErrNotExist) {
			return labels, err
		}
	}
	return nil, nil
}

// containerdLabels goes from a manifest to its configuration to the labels, in
// the content store below the containerd root given.
func containerdLabels(root, manifestHash string) (map[string]string, error) {
	dir, err := openTree(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	const blobs = contentDir + "/blobs/sha256/"
	data, err := readBlob(dir, blobs, manifestHash)
	if err != nil {
		return nil, err
	}
	var m struct {
		Config *struct {
			Digest string `json:"digest"`
		} `json:"config"`
	}
	if err := decodeJSON("the image's manifest", data, &m); err != nil {
		return nil, err
	}
	if m.Config == nil { // an index: which of its images runs is not known here
		return nil, nil
	}
	hash, ok := sha256Digest(m.Config.Digest)
	if !ok {
		return nil, fmt.Errorf("the image's manifest names its configuration %.80q", m.Config.Digest)
	}
	return labelsOf(dir, blobs, hash)
}

// labelsOf reads the labels in the image configuration <prefix><hash>.
func labelsOf(dir *os.File, prefix, hash string) (map[string]string, error) {
	data, err := readBlob(dir, prefix, hash)
	if err != nil {
		return nil, err
	}
	var c imageConfig
	if err := decodeJSON("the image's configuration", data, &c); err != nil {
		return nil, err
	}
	if c.Config == nil || c.Config.Labels == nil {
		return map[string]string{}, nil
	}
	if err := checkLabels(c.Config.Labels); err != nil {
		return nil, err
	}
	return c.Config.Labels, nil
}

// readBlob reads the file that is named by the SHA-256 of its content, and
// checks that it is.
func readBlob(dir *os.File, prefix, hash string) ([]byte, error) {
	data, err := readBeneath(dir, prefix+hash)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, fmt.Errorf("blob sha256:%s has other content than its name says", hash)
	}
	return data, nil
}

// sha256Digest returns the hex of a digest of the form "sha256:<64 hex>".
func sha256Digest(digest string) (string, bool) {
	hash, ok := strings.CutPrefix(digest, "sha256:")
	return hash, ok && containerID.MatchString(hash)
}

// isName reports whether a storage driver's name is fit to be part of a path.
func isName(s string) bool {
	return s != "" && len(s) < 64 && !strings.ContainsAny(s, "/.\x00")
}

// containerdRoots lists where the containerd that holds Docker's images may keep
// its files: the one that Docker started, the one that mounted the container's
// root file system, the system's.
func containerdRoots(dataRoot string, spec *specs.Spec) []string {
	roots := []string{filepath.Join(dataRoot, "containerd/daemon")}
	if spec.Root != nil {
		if r := snapshotterRoot(spec.Root.Path); r != "" {
			roots = append(roots, r)
		}
	}
	// Some hosts keep it on another disk, behind a link.
	if r, err := filepath.EvalSymlinks(systemContainerd); err == nil {
		roots = append(roots, r)
	}
	return roots
}
