package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	testID  = "4cc7cc5e4a4f32d78a2feaa77a30e11674efea76c8308a8e060e820453c72056"
	otherID = "2e80934364c1ec5c224a51251773933e7e576c2e3ab4fa576890de27983dc445"
)

// store is a Docker data-root made of files.
type store struct {
	t    *testing.T
	root string
}

func newStore(t *testing.T) store {
	t.Helper()
	root := filepath.Join(t.TempDir(), "docker")
	s := store{t, root}
	s.put("containers/"+testID+"/hostconfig.json", `{"NetworkMode":"default"}`)
	return s
}

func (s store) put(name, content string) {
	s.t.Helper()
	p := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o710); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// putBlob stores content below dir by its hash, and returns the digest.
func (s store) putBlob(dir, content string) string {
	s.t.Helper()
	sum := sha256.Sum256([]byte(content))
	name := hex.EncodeToString(sum[:])
	s.put(dir+"/"+name, content)
	return "sha256:" + name
}

// config writes config.v2.json.
func (s store) config(image, driver string, labels map[string]string, more map[string]any) {
	s.t.Helper()
	c := map[string]any{
		"ID": testID, "Image": image, "Name": "/t1", "Driver": driver,
		"Config": map[string]any{
			"Image": "bb:1", "Labels": labels,
			"ExposedPorts": map[string]any{"8080/tcp": struct{}{}, "9090/tcp": struct{}{}},
		},
	}
	for k, v := range more {
		c[k] = v
	}
	data, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.put("containers/"+testID+"/config.v2.json", string(data))
}

func (s store) spec() *specs.Spec { return mountSpec(s.root, testID) }

func mountSpec(root, id string) *specs.Spec {
	return &specs.Spec{Mounts: []specs.Mount{
		{Destination: "/proc", Source: "proc"},
		{Destination: "/etc/hostname", Source: filepath.Join(root, "containers", id, "hostname")},
	}}
}

const imageWithLabels = `{"config":{"Labels":{"a":"image","io.nemoclaw.policy":"version: 1"}}}`

func TestGraphDriverStore(t *testing.T) {
	s := newStore(t)
	image := s.putBlob("image/overlay2/imagedb/content/sha256", imageWithLabels)
	s.config(image, "overlay2", map[string]string{"a": "run", "b": "2", "io.nemoclaw.policy": "version: 1"}, nil)
	s.put("containers/"+testID+"/hostconfig.json", `{"NetworkMode":"none","PidMode":"host","Privileged":true,
		"CapAdd":["NET_ADMIN"],"SecurityOpt":["seccomp=unconfined"],"PublishAllPorts":true,"PortBindings":{
		"53/udp":[{"HostIp":"","HostPort":"53"}],
		"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":"80"},{"HostIp":"::1","HostPort":"8000-8010"}]}}`)
	got, err := Lookup(s.spec(), testID, "/bundle")
	if err != nil {
		t.Fatal(err)
	}
	want := &Record{
		Engine: Docker, Name: "t1", Image: "bb:1", ImageID: image,
		Labels:      map[string]string{"a": "run", "b": "2", "io.nemoclaw.policy": "version: 1"},
		ImageLabels: map[string]string{"a": "image", "io.nemoclaw.policy": "version: 1"},
		Published: []Port{
			{53, "udp", "", 53}, {8080, "tcp", "127.0.0.1", 80}, {8080, "tcp", "::1", 0}, {9090, "tcp", "", 0},
		},
		NetworkMode: "none", PidMode: "host", Privileged: true,
		CapAdd: []string{"NET_ADMIN"}, SecurityOpt: []string{"seccomp=unconfined"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, tc := range []struct {
		name, value string
		origin      Origin
	}{
		{"io.nemoclaw.policy", "version: 1", OriginImage}, {"a", "run", OriginOperator},
		{"b", "2", OriginOperator}, {"c", "", OriginNone},
	} {
		if v, o := got.Label(tc.name); v != tc.value || o != tc.origin {
			t.Errorf("label %s: %q from %d, want %q from %d", tc.name, v, o, tc.value, tc.origin)
		}
	}
}

func TestContainerdStore(t *testing.T) {
	const blobs = "containerd/daemon/io.containerd.content.v1.content/blobs/sha256"
	s := newStore(t)
	config := s.putBlob(blobs, imageWithLabels)
	manifest := s.putBlob(blobs, `{"schemaVersion":2,"config":{"digest":"`+config+`"},"layers":[]}`)
	index := s.putBlob(blobs, `{"schemaVersion":2,"manifests":[{"digest":"`+manifest+`"}]}`)
	labels := map[string]string{"a": "image", "io.nemoclaw.policy": "version: 1"}
	for name, tc := range map[string]struct {
		image string
		more  map[string]any
		want  map[string]string
	}{
		"manifest":              {manifest, nil, labels},
		"manifest of the index": {index, map[string]any{"ImageManifest": map[string]any{"digest": manifest}}, labels},
		"index alone":           {index, nil, nil},
		"not there":             {"sha256:" + otherID, nil, nil},
		"no digest":             {"bb:1", nil, nil},
	} {
		s.config(tc.image, "overlayfs", labels, tc.more)
		got, err := Lookup(s.spec(), testID, "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(got.ImageLabels, tc.want) {
			t.Errorf("%s: labels %v, want %v", name, got.ImageLabels, tc.want)
		}
	}
}

func TestImageWithoutLabels(t *testing.T) {
	s := newStore(t)
	for _, content := range []string{`{}`, `{"config":null}`, `{"config":{"Labels":null}}`} {
		s.config(s.putBlob("image/vfs/imagedb/content/sha256", content), "vfs", map[string]string{"x": "y"}, nil)
		r, err := Lookup(s.spec(), testID, "")
		if err != nil || r.ImageLabels == nil || len(r.ImageLabels) != 0 {
			t.Errorf("%s: %+v, %v", content, r, err)
			continue
		}
		if _, o := r.Label("x"); o != OriginOperator {
			t.Errorf("%s: origin %d", content, o)
		}
	}
}

func TestUnknownImageGivesNothingToTheOperator(t *testing.T) {
	s := newStore(t)
	s.config("sha256:"+otherID, "overlay2", map[string]string{"io.nemoclaw.policy": "x"}, nil)
	r, err := Lookup(s.spec(), testID, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, o := r.Label("io.nemoclaw.policy"); o != OriginImage {
		t.Errorf("origin %d, want the image", o)
	}
}

func TestSharedNetworkUsesOwnRecord(t *testing.T) {
	s := newStore(t)
	s.config("", "overlay2", map[string]string{"mine": "1"}, nil)
	s.put("containers/"+otherID+"/config.v2.json", `{"ID":"`+otherID+`","Config":{"Labels":{"mine":"0"}}}`)
	r, err := Lookup(mountSpec(s.root, otherID), testID, "")
	if err != nil || r.Labels["mine"] != "1" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRootFileSystemLeadsToRecord(t *testing.T) {
	s := newStore(t)
	s.config("", "overlay2", nil, nil)
	for _, path := range []string{"overlay2/abc/merged", "rootfs/overlayfs/" + testID} {
		spec := &specs.Spec{Root: &specs.Root{Path: filepath.Join(s.root, path)}}
		if r, err := Lookup(spec, testID, ""); err != nil || r == nil {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
}

func TestNoRecord(t *testing.T) {
	s := newStore(t)
	s.config("", "overlay2", nil, nil)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.root, link); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		spec *specs.Spec
		id   string
	}{
		"no spec":           {nil, testID},
		"no mounts":         {&specs.Spec{}, testID},
		"id of another":     {s.spec(), otherID},
		"id that climbs":    {s.spec(), "../" + testID},
		"plain id":          {s.spec(), "web"},
		"relative root":     {&specs.Spec{Root: &specs.Root{Path: "rootfs"}}, testID},
		"root in /tmp":      {&specs.Spec{Root: &specs.Root{Path: "/tmp/a/b/c"}}, testID},
		"path with symlink": {mountSpec(link, testID), testID},
		"other layout": {&specs.Spec{Mounts: []specs.Mount{{
			Destination: "/etc/hostname", Source: s.root + "/elsewhere/" + testID + "/hostname"}}}, testID},
	} {
		if r, err := Lookup(tc.spec, tc.id, ""); r != nil || err != nil {
			t.Errorf("%s: %+v, %v; want no record", name, r, err)
		}
	}
}
