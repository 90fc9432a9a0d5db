package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/integration/lab"
)

// TestOpenClaw: `docker run --runtime=nemoclaw openclaw`, the real one. Its
// gateway answers through a published port; it may read its documentation and
// may not change it; it cannot write to its own program.
func TestOpenClaw(t *testing.T) {
	onEngines(t, func(t *testing.T, e *lab.Engine) {
		root, err := lab.RepoRoot()
		if err != nil {
			t.Fatal(err)
		}
		build := exec.Command(filepath.Join(root, "scripts", "openclaw-image.sh"))
		build.Env = append(os.Environ(), "DOCKER_HOST=unix://"+e.Sock())
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		inet := e.World.Internet
		inet.DNS.Set("docs.openclaw.ai", netip.MustParseAddr(lab.AllowedAddr4))
		id := detached(t, e, "nemoclaw", "-p", "127.0.0.1:18789:18789", "openclaw")
		if body, err := gateway(e, "/healthz", time.Minute); err != nil || !strings.Contains(body, `"ok":true`) {
			logs, _ := e.Try("logs", id)
			t.Fatalf("the gateway: %v %q\n%s%s", err, body, logs.Stdout, logs.Stderr)
		}
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"openclaw", "--version"}, "OpenClaw 2026.9.6"},
			{[]string{"curl", "-sS", "-m", "10", "https://docs.openclaw.ai/"}, `"upstream"`},
			{[]string{"curl", "-sS", "-m", "10", "-X", "DELETE", "https://docs.openclaw.ai/x"}, "policy_denied"},
			{[]string{"node", "-e", `fetch("https://docs.openclaw.ai/by-node").then(r=>r.text()).then(console.log)`}, "/by-node"},
			{[]string{"sh", "-c", "echo x >/usr/local/bin/node"}, "Read-only file system"},
			{[]string{"sh", "-c", "echo x >/opt/openclaw/compile-cache/x"}, "Read-only file system"},
			{[]string{"sh", "-c", "echo x >$HOME/x && cat $HOME/x"}, "x"},
			{[]string{"curl", "-sS", "-m", "10", "https://example.org/"}, "Could not resolve host"},
		} {
			r, err := e.Try(append([]string{"exec", id}, c.args...)...)
			if err != nil || !strings.Contains(r.Stdout+r.Stderr, c.want) {
				t.Errorf("%v: %v, exit status %d, want %q in\n%s%s", c.args, err, r.Code, c.want, r.Stdout, r.Stderr)
			}
		}
	})
}

// gateway asks the published port of the engine's host until it answers 200.
func gateway(e *lab.Engine, path string, limit time.Duration) (string, error) {
	var last error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var body string
		last = e.World.InEngine(func() error {
			c, err := net.DialTimeout("tcp", "127.0.0.1:18789", time.Second)
			if err != nil {
				return err
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path)
			b, err := io.ReadAll(c)
			body = string(b)
			if err == nil && !strings.HasPrefix(body, "HTTP/1.1 "+fmt.Sprint(http.StatusOK)) {
				err = fmt.Errorf("the gateway answers %.60q", body)
			}
			return err
		})
		if last == nil {
			return body, nil
		}
	}
	return "", last
}
