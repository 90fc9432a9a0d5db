package dockerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// DefaultSocket is where Docker listens.
const DefaultSocket = "/var/run/docker.sock"

// maxReply bounds what is read of an answer, in bytes.
const maxReply = 4 << 20

// Info is what the engine says of itself.
type Info struct {
	Version        string `json:"ServerVersion"`
	DefaultRuntime string
	CgroupDriver   string
	CgroupVersion  string
	StorageDriver  string `json:"Driver"`
	DataRoot       string `json:"DockerRootDir"`
	Runtimes       map[string]struct {
		Path string   `json:"path"`
		Args []string `json:"runtimeArgs"`
	}
	SecurityOptions []string
}

// Ask returns the engine's Info over its socket. The error is ErrNotRunning
// where nobody listens.
func Ask(ctx context.Context, socket string) (*Info, error) {
	client := http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/info", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist) || isRefused(err):
		return nil, ErrNotRunning
	case err != nil:
		return nil, fmt.Errorf("asking the engine at %s: %w", socket, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking the engine at %s: it answers %s", socket, resp.Status)
	}
	info := new(Info)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(info); err != nil {
		return nil, fmt.Errorf("decoding the engine's answer: %w", err)
	}
	return info, nil
}

// isRefused tells a socket file that nobody listens on.
func isRefused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && strings.Contains(op.Err.Error(), "connection refused")
}

// WaitRuntime asks the engine until it knows, or no longer knows, the runtime of
// this name, for as long as ctx lasts; then it returns what it heard last, and
// ctx's error. A reload is not done when the signal is sent.
func WaitRuntime(ctx context.Context, socket, name string, want bool) (*Info, error) {
	var last *Info
	for {
		info, err := Ask(ctx, socket)
		if err != nil && ctx.Err() != nil && last != nil {
			return last, ctx.Err() // cut off in the middle of a question
		}
		if err != nil {
			return nil, err
		}
		last = info
		if _, has := info.Runtimes[name]; has == want {
			return info, nil
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
