package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestStockBundle: `run` of an ordinary busybox bundle, made by `runc spec`,
// gives what runc gives: output, standard error, exit status.
func TestStockBundle(t *testing.T) {
	e := engine(t, lab.Docker20)
	bundle := filepath.Join(e.Dir, "bundle")
	rootfs := filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	id, err := e.Docker("create", image(t, e, plain), "true")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Docker("rm", "-f", strings.TrimSpace(id))
	out, err := exec.Command("sh", "-c", "/usr/bin/docker -H unix://"+e.Sock()+" export "+strings.TrimSpace(id)+" | tar -C "+rootfs+" -x").CombinedOutput()
	if err != nil {
		t.Fatalf("unpacking: %v %s", err, out)
	}
	runc := lab.ReferenceRunc()
	if out, err := exec.Command(runc, "spec", "--bundle", bundle).CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v %s", err, out)
	}
	for _, args := range [][]string{
		{"sh", "-c", "echo out; echo err >&2; exit 42"}, {"true"}, {"false"}, {"id"}, {"env"}, {"hostname"},
		{"sh", "-c", "kill -9 $$"}, {"cat", "/etc/passwd"}, {"no-such-program"},
	} {
		setArgs(t, filepath.Join(bundle, "config.json"), args)
		leavesNothing(t, e, func() {
			want := bundleRun(t, e, runc, nil, bundle)
			got := bundleRun(t, e, filepath.Join(e.Bin, "nemoclaw-runtime"), []string{"--config", e.Config}, bundle)
			if got.Code != want.Code || got.Stdout != want.Stdout {
				t.Errorf("%v: exit status %d, output %q %q; with runc %d, %q %q", args, got.Code, got.Stdout, got.Stderr, want.Code, want.Stdout, want.Stderr)
			}
		})
	}
}

// setArgs makes the bundle run args without a terminal.
func setArgs(t *testing.T, file string, args []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(b, &spec); err != nil {
		t.Fatal(err)
	}
	p := spec["process"].(map[string]any)
	p["args"], p["terminal"] = args, false
	if b, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func bundleRun(t *testing.T, e *lab.Engine, runtime string, global []string, bundle string) lab.Result {
	t.Helper()
	root := filepath.Join(e.RunDir, "..", "bundle-root")
	defer os.RemoveAll(root)
	cmd := e.World.Command(runtime, append(global, "--root", root, "run", "--bundle", bundle, "stock-bundle")...)
	var out, errw bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errw
	err := cmd.Run()
	r := lab.Result{Stdout: out.String(), Stderr: errw.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return r
}
