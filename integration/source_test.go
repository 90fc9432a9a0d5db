package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// dataPolicy lets everything of /data be written, so that tests see which
// policy was taken.
const dataPolicy = `version: 1
filesystem_policy:
  read_only: [/bin, /usr, /lib, /lib64, /etc, /proc]
  read_write: [/data, /tmp]
`

// TestWherePolicyComesFrom: operator before image, label before file, and the
// built-in default where nobody says anything.
func TestWherePolicyComesFrom(t *testing.T) {
	data, work := "write /data/x", "write /work/x"
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		infile := image(t, e, lab.Image{Name: "infile", Files: map[string]string{"/etc/nemoclaw/policy.yaml": dataPolicy}})
		openshell := image(t, e, lab.Image{Name: "openshell", Files: map[string]string{"/etc/openshell/policy.yaml": dataPolicy}})
		both := image(t, e, lab.Image{Name: "both", Policy: agentPolicy, Files: map[string]string{"/etc/nemoclaw/policy.yaml": dataPolicy}})
		if err := os.WriteFile(filepath.Join(e.Dir, "policies", "named.yaml"), []byte(dataPolicy), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what  string
			flags []string
			ref   string
			want  wanted
		}{
			{"a file of the image", nil, infile, wanted{data: "ok", work: "EACCES"}},
			{"a file under the older name", nil, openshell, wanted{data: "ok", work: "EACCES"}},
			{"the label before the file", nil, both, wanted{data: "EACCES", work: "ok"}},
			{"the operator before the image", operator(dataPolicy), image(t, e, agent), wanted{data: "ok", work: "EACCES"}},
			{"by name", []string{"--label", "io.nemoclaw.policy=named"}, image(t, e, agent), wanted{data: "ok", work: "EACCES"}},
			{"nobody", nil, image(t, e, plain), wanted{data: "EACCES", work: "ok"}},
		} {
			got := run(t, e, c.flags, c.ref, data, work)
			for op, want := range c.want {
				if a := got[op]; want == "ok" != a.OK {
					t.Errorf("%s: %v, want %s", c.what, a, want)
				}
			}
		}
	})
}

// TestAnnotation: `docker run --annotation` is the operator's word (engines of
// 24 and later pass it on).
func TestAnnotation(t *testing.T) {
	e := engine(t, lab.Docker29)
	var created struct{ ID string }
	if err := e.API("POST", "/containers/create", map[string]any{
		"Image": image(t, e, agent), "Cmd": probeArgs("write /data/x", "write /work/x"),
		"HostConfig": map[string]any{"Runtime": "nemoclaw", "Annotations": map[string]string{"io.nemoclaw.policy": lab.Label(dataPolicy)}},
	}, &created); err != nil {
		t.Fatal(err)
	}
	defer e.Docker("rm", "-f", created.ID)
	r, err := e.Try("start", "-a", created.ID)
	if err != nil {
		t.Fatal(err)
	}
	wanted{"write /data/x": "ok", "write /work/x": "EROFS"}.check(t, answers(t, r))
}

// TestImageIsClamped: an image may ask for much; the ceiling leaves what an
// image may have, and the clamped rest is refused like any other.
func TestImageIsClamped(t *testing.T) {
	greedy := strings.Replace(agentPolicy, "network_policies:", `network_policies:
  port:
    endpoints: [{host: api.example.com, port: 9000}]
    binaries: any
  literal:
    endpoints: [{host: `+lab.OtherAddr4+`, port: 80}]
    binaries: any
  wide:
    endpoints: [{host: "*.example.org", port: 80}]
    binaries: any
  private:
    endpoints: [{host: private.example.com, port: 80}]
    binaries: any
  audited:
    endpoints: [{host: audited.example.com, port: 80, protocol: rest, enforcement: audit, access: read-only}]
    binaries: any
`, 1)
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, lab.Image{Name: "greedy", Policy: greedy})
		mark, before := e.World.Internet.Capture.Mark(), len(e.World.Internet.Web.Requests())
		run(t, e, nil, ref, "tcp api.example.com:9000", "http http://"+lab.OtherAddr4+"/", "http http://www.example.org/",
			"http http://private.example.com/", "http http://metadata.example.com/", "http http://audited.example.com/ DELETE")
		settle()
		if out := unexpected(e, mark, resolverTraffic...); len(out) > 0 {
			t.Errorf("this left:\n%s", strings.Join(out, "\n"))
		}
		for _, r := range e.World.Internet.Web.Requests()[before:] {
			t.Errorf("upstream saw %s %s%s", r.Method, r.Host, r.URI)
		}
	})
}
