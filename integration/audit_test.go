package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/audit"
	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// events reads a container's audit log, and holds its chain to be whole.
func events(t *testing.T, e *lab.Engine, id string) []audit.Event {
	t.Helper()
	path := filepath.Join(e.LogDir, "sandboxes", id+".jsonl")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%s: mode %v, want 0600", path, st.Mode())
	}
	if _, err := audit.Verify(strings.NewReader(string(b))); err != nil {
		t.Errorf("the log does not verify: %v", err)
	}
	var out []audit.Event
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var ev audit.Event
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		out = append(out, ev)
	}
	return out
}

// find returns the first event that the function likes.
func find(list []audit.Event, like func(audit.Event) bool) *audit.Event {
	for i := range list {
		if like(list[i]) {
			return &list[i]
		}
	}
	return nil
}

// TestAudit: a record for each decision, that names rule and line, and the
// container's life with what was enforced.
func TestAudit(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		id := sleeper(t, e, image(t, e, agent))
		execIn(t, e, nil, id, "http http://api.example.com/yes", "http http://api.example.com/no POST x",
			"resolve no.example.org", "tcp "+lab.OtherAddr4+":9000")
		list := events(t, e, id)
		for what, like := range map[string]func(audit.Event) bool{
			"create with the Landlock ABI": func(ev audit.Event) bool { return ev.Kind == audit.KindCreate && ev.ABI > 0 },
			"start":                        func(ev audit.Event) bool { return ev.Kind == audit.KindStart },
			"exec":                         func(ev audit.Event) bool { return ev.Kind == audit.KindExec },
			"the allowed request, with rule and line": func(ev audit.Event) bool {
				return ev.Kind == audit.KindRequest && ev.Verdict == "allow" && ev.Host == "api.example.com" && ev.Path == "/yes" &&
					ev.Rule == "web" && strings.Contains(ev.At, ":9")
			},
			"the refused request": func(ev audit.Event) bool {
				return ev.Kind == audit.KindRequest && ev.Verdict == "deny" && ev.Method == "POST" && ev.Path == "/no" && ev.Reason != ""
			},
			"the refused name": func(ev audit.Event) bool {
				return ev.Kind == audit.KindDNS && ev.Verdict == "deny" && ev.Host == "no.example.org"
			},
			"the refused address": func(ev audit.Event) bool {
				return ev.Kind == audit.KindConnect && ev.Verdict == "deny" && strings.HasPrefix(ev.Addr, lab.OtherAddr4)
			},
			"who asked": func(ev audit.Event) bool { return strings.HasSuffix(ev.Binary, "/probe") && ev.PID > 0 },
		} {
			if find(list, like) == nil {
				b, _ := json.Marshal(list)
				t.Errorf("no record of %s in\n%s", what, strings.ReplaceAll(string(b), "},{", "},\n{"))
			}
		}
		if _, err := e.Docker("rm", "-f", id); err != nil {
			t.Fatal(err)
		}
		if find(events(t, e, id), func(ev audit.Event) bool { return ev.Kind == audit.KindDelete }) == nil {
			t.Error("no record of delete")
		}
	})
}

// TestAuditComesFirst: when the record cannot be written, nothing leaves.
func TestAuditComesFirst(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		id := sleeper(t, e, image(t, e, agent))
		log := filepath.Join(e.LogDir, "sandboxes", id+".jsonl")
		list := events(t, e, id)
		execIn(t, e, nil, id, "http http://api.example.com/stamp")
		after := events(t, e, id)
		var seen bool
		for _, r := range e.World.Internet.Web.Requests() {
			if r.URI != "/stamp" {
				continue
			}
			seen = true
			ev := find(after[len(list):], func(ev audit.Event) bool { return ev.Kind == audit.KindRequest && ev.Path == "/stamp" })
			if ev == nil || ev.Time.After(r.Time) {
				t.Errorf("upstream was asked at %v, the record is %+v", r.Time, ev)
			}
		}
		if !seen {
			t.Errorf("upstream never saw the request; the log is %s", log)
		}
	})
}
