package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Bounds of what is read, in bytes. An image chooses its labels, so Docker's
// record may be of any size.
const (
	MaxRecord = 16 << 20  // a whole file
	MaxLabel  = 512 << 10 // one of our labels: a policy of that size is no policy
)

// LabelPrefix begins the names of the labels that are ours.
const LabelPrefix = "io.nemoclaw."

// dockerConfig is what is needed of config.v2.json (moby,
// daemon/container/container.go). Docker 20.10 to 29 write the same names;
// ImageManifest came with containerd's image store.
type dockerConfig struct {
	ID            string
	Image         string
	Name          string
	Driver        string
	ImageManifest *struct {
		Digest string `json:"digest"`
	}
	Config *struct {
		Image        string
		Labels       map[string]string
		ExposedPorts map[string]struct{}
		Volumes      map[string]struct{}
	}
	MountPoints map[string]struct {
		Destination string
	}
}

// dockerHostConfig is what is needed of hostconfig.json.
type dockerHostConfig struct {
	NetworkMode     string
	PidMode         string
	Privileged      bool
	PublishAllPorts bool
	CapAdd          []string
	SecurityOpt     []string
	Binds           []string
	Mounts          []struct{ Target string }
	Tmpfs           map[string]string
	PortBindings    map[string][]struct {
		HostIP   string `json:"HostIp"`
		HostPort string
	}
}

// dockerRecord reads the record of container id below the data-root root.
func dockerRecord(root, id string, spec *specs.Spec) (*Record, error) {
	dir, err := openTree(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var c dockerConfig
	if err := readJSON(dir, "containers/"+id+"/config.v2.json", &c); err != nil {
		return nil, err
	}
	if c.ID != id || c.Config == nil {
		return nil, fmt.Errorf("config.v2.json is of container %.64q", c.ID)
	}
	if err := checkLabels(c.Config.Labels); err != nil {
		return nil, err
	}
	var h dockerHostConfig
	if err := readJSON(dir, "containers/"+id+"/hostconfig.json", &h); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("hostconfig.json is missing")
		}
		return nil, err
	}
	published, err := dockerPorts(&c, &h)
	if err != nil {
		return nil, err
	}
	imageLabels, err := dockerImageLabels(dir, root, &c, spec)
	if err != nil {
		return nil, err
	}
	labels := c.Config.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return &Record{
		Engine: Docker, Name: strings.TrimPrefix(c.Name, "/"), Image: c.Config.Image, ImageID: c.Image,
		Labels: labels, ImageLabels: imageLabels, Published: published,
		NetworkMode: h.NetworkMode, PidMode: h.PidMode, Privileged: h.Privileged,
		CapAdd: h.CapAdd, SecurityOpt: h.SecurityOpt, OperatorMounts: operatorMounts(&c, &h),
	}, nil
}

// checkLabels refuses a label of ours that is too large to mean anything.
func checkLabels(labels map[string]string) error {
	for k, v := range labels {
		if strings.HasPrefix(k, LabelPrefix) && len(v) > MaxLabel {
			return fmt.Errorf("label %.64q has %d bytes, more than the %d that a label of ours may have", k, len(v), MaxLabel)
		}
	}
	return nil
}

// dockerPorts lists the published ports: the bindings asked for, and with
// --publish-all every exposed port that has none.
func dockerPorts(c *dockerConfig, h *dockerHostConfig) ([]Port, error) {
	var ports []Port
	for spec, bindings := range h.PortBindings {
		p, err := parsePort(spec)
		if err != nil {
			return nil, err
		}
		for _, b := range bindings {
			p.HostIP, p.Host = b.HostIP, 0
			// A range is the engine's to choose from.
			if n, err := strconv.ParseUint(b.HostPort, 10, 16); err == nil {
				p.Host = uint16(n)
			}
			ports = append(ports, p)
		}
	}
	if h.PublishAllPorts {
		for spec := range c.Config.ExposedPorts {
			p, err := parsePort(spec)
			if err != nil {
				return nil, err
			}
			if len(h.PortBindings[spec]) == 0 {
				ports = append(ports, p)
			}
		}
	}
	slices.SortFunc(ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Proto, b.Proto),
			cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.Host, b.Host))
	})
	return ports, nil
}

// operatorMounts lists what the run command asked for (-v, --mount, --tmpfs,
// --volumes-from). What only Config.Volumes names is an image's VOLUME, or an
// anonymous volume that nobody gave a source: the image's word, to be safe.
func operatorMounts(c *dockerConfig, h *dockerHostConfig) []string {
	asked := map[string]bool{}
	for _, bind := range h.Binds {
		if parts := strings.Split(bind, ":"); len(parts) > 1 {
			asked[path.Clean(parts[1])] = true
		}
	}
	for _, m := range h.Mounts {
		asked[path.Clean(m.Target)] = true
	}
	for dest := range h.Tmpfs {
		asked[path.Clean(dest)] = true
	}
	for _, m := range c.MountPoints {
		if _, volume := c.Config.Volumes[m.Destination]; !volume {
			asked[path.Clean(m.Destination)] = true
		}
	}
	return slices.Sorted(maps.Keys(asked))
}

// parsePort reads "8080/tcp".
func parsePort(s string) (Port, error) {
	number, proto, ok := strings.Cut(s, "/")
	if !ok {
		proto = "tcp"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || !slices.Contains([]string{"tcp", "udp", "sctp"}, proto) {
		return Port{}, fmt.Errorf("published port %.32q is not a port", s)
	}
	return Port{Container: uint16(n), Proto: proto}, nil
}

// decodeJSON decodes as Docker does, so that the two never read one file in two
// ways.
func decodeJSON(name string, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decoding %s: %w", name, err)
	}
	return nil
}
