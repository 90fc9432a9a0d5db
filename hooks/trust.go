package hooks

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/nemoclaw/nemoclaw/plan"
)

// hostBundles are where this host keeps its roots, for images that have none.
var hostBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"}

// TrustFile is a file of ours that is mounted into the container.
type TrustFile struct {
	Source      string // on the host
	Destination string // in the container
	// roots is what stands in the file before our own certificate.
	roots []byte
}

// TrustFiles makes the files that the plan mounts over trust stores, empty: the
// mounts can be made while the supervisor still makes its authority. FillTrust
// writes them.
func (s *Sandbox) TrustFiles(p *plan.Plan) ([]TrustFile, error) {
	var files []TrustFile
	for i, name := range p.Trust.Bundles {
		roots, err := readBelow(p.Root, name)
		if err != nil {
			return nil, fmt.Errorf("reading the image's trust store %s: %w", name, err)
		}
		files = append(files, TrustFile{s.Dir.Join("bundle-" + strconv.Itoa(i) + ".crt"), name, roots})
	}
	if p.Trust.Certificate != "" {
		files = append(files, TrustFile{s.Dir.Join("ca.crt"), p.Trust.Certificate, nil})
		roots, err := hostRoots()
		if err != nil {
			return nil, err
		}
		files = append(files, TrustFile{s.Dir.Join("ca-bundle.crt"), plan.BundlePath, roots})
	}
	for _, f := range files {
		if err := os.WriteFile(f.Source, nil, 0o644); err != nil {
			return nil, fmt.Errorf("making a trust file: %w", err)
		}
	}
	return files, nil
}

func hostRoots() ([]byte, error) {
	for _, name := range hostBundles {
		roots, err := os.ReadFile(name)
		if err == nil {
			return roots, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the host's roots: %w", err)
		}
	}
	return nil, nil
}

// fillTrust writes the roots and the sandbox's own certificate into the files,
// in place: the mounts are of these inodes.
func fillTrust(files []TrustFile, cert []byte) error {
	for _, f := range files {
		text := slices.Clone(f.roots)
		if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
			text = append(text, '\n')
		}
		if err := os.WriteFile(f.Source, append(text, cert...), 0o644); err != nil {
			return fmt.Errorf("writing a trust file: %w", err)
		}
	}
	return nil
}
