package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// containerID is what Docker calls its containers.
var containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Lookup finds the record of the container id, whose runtime spec is given. It
// returns nil and no error when no engine that it knows has a record of the
// container. The bundle's directory says nothing that the spec does not say
// better, and is not looked at yet: containerd's answer will need it.
//
// An error means that there is a record which cannot be used: it is damaged, too
// large, or others than root could have written it. The container then must not
// be created, because what its operator wanted is unknown.
func Lookup(spec *specs.Spec, id, _ string) (*Record, error) {
	if spec == nil || !containerID.MatchString(id) {
		return nil, nil
	}
	for _, root := range dockerRoots(spec, id) {
		r, err := dockerRecord(root, id, spec)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading Docker's record of the container below %q: %w", root, err)
		}
		return r, nil
	}
	return nil, nil
}

// dockerRoots lists where Docker's data-root may be, by the spec: the files
// that Docker mounts into every container lie in <data-root>/containers/<id>/,
// where the id is another container's when the network is shared; and the root
// file system lies in <data-root>/<driver>/<layer>/merged (graph drivers) or
// <data-root>/rootfs/<snapshotter>/<id> (containerd's image store).
func dockerRoots(spec *specs.Spec, id string) []string {
	var roots []string
	add := func(dir string) {
		if filepath.IsAbs(dir) && dir != "/" && !slices.Contains(roots, dir) {
			roots = append(roots, dir)
		}
	}
	for _, m := range spec.Mounts {
		switch m.Destination {
		case "/etc/hostname", "/etc/hosts", "/etc/resolv.conf":
		default:
			continue
		}
		owner := filepath.Dir(filepath.Clean(m.Source))
		if containers := filepath.Dir(owner); filepath.Base(containers) == "containers" &&
			containerID.MatchString(filepath.Base(owner)) {
			add(filepath.Dir(containers))
		}
	}
	if spec.Root != nil && filepath.IsAbs(spec.Root.Path) {
		add(filepath.Dir(filepath.Dir(filepath.Dir(filepath.Clean(spec.Root.Path)))))
	}
	return roots
}
