package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestExecAfterSwap: the agent puts a link to /etc where its writable directory
// was. A process that comes later by `docker exec` gets nothing of /etc by it.
func TestExecAfterSwap(t *testing.T) {
	policy := strings.Replace(agentPolicy, "[/work, /tmp, /dev/null]", "[/work, /work/dir, /tmp, /dev/null]", 1)
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, lab.Image{Name: "swap", Policy: policy, Dirs: []string{"work/dir"}})
		id := sleeper(t, e, ref)
		wanted{"swap /work/dir /etc": "ok"}.check(t, execIn(t, e, nil, id, "swap /work/dir /etc"))
		wanted{
			"write /etc/evil": "EACCES|EROFS", "write /work/dir/evil": "EACCES|EROFS", "write /work/ok": "ok",
		}.check(t, execIn(t, e, nil, id, "write /etc/evil", "write /work/dir/evil", "write /work/ok"))
	})
}

// TestExecAfterSwapByAnotherDirectory: the same with a directory that is not
// the one that `create` has seen.
func TestExecAfterSwapByAnotherDirectory(t *testing.T) {
	policy := strings.Replace(agentPolicy, "[/work, /tmp, /dev/null]", "[/work/dir, /tmp, /dev/null]", 1)
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, lab.Image{Name: "swapdir", Policy: policy, Dirs: []string{"work/dir"}})
		id := sleeper(t, e, ref)
		// /work is not writable: the agent cannot even take the directory away.
		wanted{"swap /work/dir /etc": "refused", "write /work/dir/x": "ok"}.check(t,
			execIn(t, e, nil, id, "swap /work/dir /etc", "write /work/dir/x"))
	})
}

// TestPolicyPathIsALink: a path of the policy that the image has made a link
// mounts and grants nothing of the host, and nothing outside the root.
func TestPolicyPathIsALink(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the host's"), 0o644); err != nil {
		t.Fatal(err)
	}
	policy := `version: 1
filesystem_policy:
  read_only: [/bin, /usr, /lib, /lib64, /etc, /proc, /work/ro, /hostlink]
  read_write: [/work, /tmp, /dev/null, /data/out]
`
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, lab.Image{Name: "linked-" + filepath.Base(filepath.Dir(secret)), Policy: policy, Links: map[string]string{
			"/work/ro": filepath.Dir(secret), "/hostlink": "../../../../" + filepath.Dir(secret), "/data/out": "/etc",
		}})
		r, err := e.Run(ref, "sh", "-c", "cat /work/ro/secret /hostlink/secret "+secret+"; echo x > /data/out/evil; cat /proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.Stdout, "the host's") {
			t.Errorf("the container reads the host's file:\n%s", r.Stdout)
		}
		if strings.Contains(r.Stdout, filepath.Dir(secret)) {
			t.Errorf("a host directory is mounted:\n%s", r.Stdout)
		}
	})
}

// TestReadOnlyBelowReadWrite: Landlock adds rights up along a path, so this
// takes a read-only mount.
func TestReadOnlyBelowReadWrite(t *testing.T) {
	policy := strings.Replace(agentPolicy, "/proc, /sys]", "/proc, /sys, /work/ro]", 1)
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		ref := image(t, e, lab.Image{Name: "nested", Policy: policy, Files: map[string]string{"/work/ro/f": "fixed"}})
		want := wanted{"write /work/ro/f": "EROFS|EACCES", "write /work/ro/new": "EROFS|EACCES", "write /work/x": "ok", "read /work/ro/f": "ok"}
		want.check(t, run(t, e, nil, ref, want.ops()...))
		id := sleeper(t, e, ref)
		want.check(t, execIn(t, e, nil, id, want.ops()...))
	})
}
