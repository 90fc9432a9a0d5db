package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRefused holds what makes a record unusable, and that each error says what.
func TestRefused(t *testing.T) {
	const dir = "containers/" + testID
	image := func(s store) string { return s.putBlob("image/overlay2/imagedb/content/sha256", imageWithLabels) }
	path := func(s store, name string) string { return filepath.Join(s.root, dir, name) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name, want string
		prepare    func(s store)
	}{
		{"not JSON", "decoding config.v2.json", func(s store) { s.put(dir+"/config.v2.json", "{") }},
		{"label of 1 MiB", `label "io.nemoclaw.policy" has 1048576 bytes`, func(s store) {
			s.config("", "overlay2", map[string]string{"io.nemoclaw.policy": strings.Repeat("x", 1<<20)}, nil)
		}},
		{"record of 17 MiB", "more than the 16777216", func(s store) {
			s.config("", "overlay2", map[string]string{"big": strings.Repeat("x", 17<<20)}, nil)
		}},
		{"record of another container", "is of container", func(s store) {
			s.config("", "overlay2", nil, map[string]any{"ID": otherID})
		}},
		{"no Config", "is of container", func(s store) { s.config("", "", nil, map[string]any{"Config": nil}) }},
		{"record is a symlink", "too many levels of symbolic links", func(s store) {
			s.put("real.json", `{"ID":"`+testID+`","Config":{}}`)
			check(os.Remove(path(s, "config.v2.json")))
			check(os.Symlink(s.root+"/real.json", path(s, "config.v2.json")))
		}},
		{"directory is a symlink", "opening", func(s store) {
			check(os.Rename(filepath.Join(s.root, dir), s.root+"/away"))
			check(os.Symlink(s.root+"/away", filepath.Join(s.root, dir)))
		}},
		{"record is a fifo", "not a regular file", func(s store) {
			check(os.Remove(path(s, "config.v2.json")))
			check(unix.Mkfifo(path(s, "config.v2.json"), 0o600))
		}},
		{"record writable by others", "can be written by others", func(s store) {
			check(os.Chmod(path(s, "config.v2.json"), 0o666))
		}},
		{"directory writable by others", "can be written by others", func(s store) {
			check(os.Chmod(filepath.Join(s.root, dir), 0o777))
		}},
		{"data-root writable by others", "can be written by others", func(s store) { check(os.Chmod(s.root, 0o777)) }},
		{"record of another user", "belongs to uid 1234", func(s store) {
			check(os.Chown(path(s, "config.v2.json"), 1234, 1234))
		}},
		{"no hostconfig", "hostconfig.json is missing", func(s store) { check(os.Remove(path(s, "hostconfig.json"))) }},
		{"unfit port", `published port "http/tcp"`, func(s store) {
			s.put(dir+"/hostconfig.json", `{"PortBindings":{"http/tcp":[{}]}}`)
		}},
		{"image changed", "other content than its name says", func(s store) {
			digest := image(s)
			s.config(digest, "overlay2", nil, nil)
			s.put("image/overlay2/imagedb/content/sha256/"+strings.TrimPrefix(digest, "sha256:"), "{}")
		}},
		{"image not JSON", "decoding the image's configuration", func(s store) {
			s.config(s.putBlob("image/overlay2/imagedb/content/sha256", "["), "overlay2", nil, nil)
		}},
		{"image's label of 1 MiB", "label", func(s store) {
			s.config(s.putBlob("image/overlay2/imagedb/content/sha256",
				`{"config":{"Labels":{"io.nemoclaw.gpu":"`+strings.Repeat("x", 1<<20)+`"}}}`), "overlay2", nil, nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			s.config("", "overlay2", nil, nil)
			tc.prepare(s)
			r, err := Lookup(s.spec(), testID, "")
			if r != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, %v; want an error with %q", r, err, tc.want)
			} else if len(err.Error()) > 512 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestDriverNameIsNoPath(t *testing.T) {
	for _, driver := range []string{"", "../x", "a/b", ".", "..", "a\x00", strings.Repeat("a", 64)} {
		if isName(driver) {
			t.Errorf("driver %q would be part of a path", driver)
		}
	}
}

func TestScanMountinfo(t *testing.T) {
	const table = `22 1 0:20 / /proc rw - proc proc rw
30 1 0:50 / /d/rootfs/overlayfs/x rw shared:1 - overlay overlay rw,lowerdir=1/fs,upperdir=/c/io.containerd.snapshotter.v1.overlayfs/snapshots/7/fs,workdir=/w
31 1 0:51 / /d/overlay2/y/merged rw - overlay overlay rw,lowerdir=l/A,upperdir=/d/overlay2/y/diff
`
	for path, want := range map[string]string{
		"/d/rootfs/overlayfs/x": "/c", "/d/overlay2/y/merged": "", "/none": "", "": "",
	} {
		if got := scanMountinfo(strings.NewReader(table), path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(`{"ID":"`+testID+`","Config":{"Labels":{"a":"b"}}}`, `{"PortBindings":{"80/tcp":[{"HostPort":"1"}]}}`)
	f.Add(`{"Config":{"ExposedPorts":{"1-2/tcp":{}}}}`, `{"PublishAllPorts":true}`)
	f.Fuzz(func(t *testing.T, config, host string) {
		var c dockerConfig
		var h dockerHostConfig
		if decodeJSON("c", []byte(config), &c) != nil || decodeJSON("h", []byte(host), &h) != nil || c.Config == nil {
			return
		}
		ports, err := dockerPorts(&c, &h)
		if err != nil {
			return
		}
		for _, p := range ports {
			if p.Container == 0 {
				t.Errorf("port 0 from %q", host)
			}
		}
	})
}
