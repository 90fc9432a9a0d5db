package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Kind names an engine that the lab can start.
type Kind string

// The engines that every test of the fence runs on.
const (
	Docker20 Kind = "docker20" // Debian's docker.io and containerd
	Docker29 Kind = "docker29" // Docker Engine >= 29 and containerd 2, from modules; scripts/engines.sh builds them
)

// Kinds are all engines, in the order in which tests run.
var Kinds = []Kind{Docker20, Docker29}

// Engine is a running containerd and dockerd inside a World's namespaces.
type Engine struct {
	Kind     Kind
	World    *World
	Dir      string // data, state and sockets of both daemons
	Bin      string // copies of the nemoclaw binaries that this engine runs
	Config   string // the nemoclaw configuration that its runtime is started with
	RunDir   string // run_dir, state_dir and log_dir of that configuration
	StateDir string
	LogDir   string
	Images   map[string]string // image name by the name of its recipe

	cli   string
	procs []*exec.Cmd
}

// Options change how an engine and its nemoclaw are configured.
type Options struct {
	Runtime string         // nemoclaw-runtime that is installed already; "": a copy of bin/ is made
	Config  map[string]any // further keys of the nemoclaw configuration
	Daemon  map[string]any // further keys of daemon.json
}

// Start starts the engine with `nemoclaw` as a further runtime (and stock runc
// as the default one). The binaries are copied from the repository's bin/, so a
// process of this world is known by its executable.
func (w *World) Start(kind Kind, opt Options) (e *Engine, err error) {
	e = &Engine{Kind: kind, World: w, Dir: filepath.Join(w.Dir, string(kind)), Images: map[string]string{}, cli: dockerCLI()}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("starting %s: %w", kind, err), e.Close())
			e = nil
		}
	}()
	if err := os.MkdirAll(e.Dir, 0o755); err != nil {
		return e, err
	}
	bins, err := e.programs()
	if err != nil {
		return e, err
	}
	e.Bin = filepath.Dir(opt.Runtime)
	if opt.Runtime == "" {
		if err := e.installBinaries(); err != nil {
			return e, err
		}
	}
	if err := e.writeConfig(opt.Config); err != nil {
		return e, err
	}
	if err := e.startContainerd(bins); err != nil {
		return e, err
	}
	return e, e.startDockerd(bins, opt.Daemon)
}

// programs are the executables of one kind of engine, and the PATH to them.
type programs struct{ containerd, dockerd, path string }

func (e *Engine) programs() (programs, error) {
	std := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if e.Kind == Docker20 {
		return programs{"/usr/bin/containerd", "/usr/sbin/dockerd", "/usr/sbin:/usr/bin:/sbin:/bin"}, nil
	}
	dir := filepath.Join(cacheDir(), "dockerd-new", "bin")
	p := programs{filepath.Join(dir, "containerd"), filepath.Join(dir, "dockerd"), dir + ":" + std}
	for _, f := range []string{p.containerd, p.dockerd, filepath.Join(dir, "containerd-shim-runc-v2")} {
		if _, err := os.Stat(f); err != nil {
			return p, fmt.Errorf("%w (scripts/engines.sh builds it)", err)
		}
	}
	return p, nil
}

// cacheDir is where scripts/env.sh says that built engines and images are kept.
func cacheDir() string {
	if d := os.Getenv("NEMOCLAW_CACHE"); d != "" {
		return d
	}
	return "/var/cache/nemoclaw-test"
}

// ReferenceRunc is the runc of the version that we build on, which results are
// compared with (scripts/engines.sh builds it).
func ReferenceRunc() string { return filepath.Join(cacheDir(), "dockerd-new", "bin", "runc") }

// dockerCLI prefers Debian's client, which a fresh machine has.
func dockerCLI() string {
	if _, err := os.Stat("/usr/bin/docker"); err == nil {
		return "/usr/bin/docker"
	}
	return "docker"
}

// RepoRoot is the root of the repository that the test runs in.
func RepoRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the test does not run inside the repository")
}

// installBinaries copies bin/ as `make install` would lay it out beside one another.
func (e *Engine) installBinaries() error {
	root, err := RepoRoot()
	if err != nil {
		return err
	}
	e.Bin = filepath.Join(e.Dir, "bin")
	if err := os.MkdirAll(e.Bin, 0o755); err != nil {
		return err
	}
	built, err := filepath.Glob(filepath.Join(root, "bin", "*"))
	if err != nil || len(built) == 0 {
		return fmt.Errorf("nothing is built in %s/bin: run `make build`", root)
	}
	return runScript(exec.Command("cp", append([]string{"-p", "-t", e.Bin}, built...)...))
}

// writeConfig writes the nemoclaw configuration: private directories, and the
// test internet's resolver and CA.
func (e *Engine) writeConfig(extra map[string]any) error {
	e.RunDir, e.StateDir, e.LogDir = filepath.Join(e.Dir, "run"), filepath.Join(e.Dir, "state"), filepath.Join(e.Dir, "log")
	policies := filepath.Join(e.Dir, "policies")
	for _, d := range []string{e.RunDir, e.StateDir, e.LogDir, policies} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	// A copy of bin/ lies flat; what is installed finds its helpers itself.
	keys := map[string]any{
		"run_dir": e.RunDir, "state_dir": e.StateDir, "log_dir": e.LogDir, "policy_dir": policies,
		"dns": map[string]any{"servers": []string{DNSAddr4}},
		"tls": map[string]any{"upstream_ca_file": e.World.Internet.CAFile},
	}
	if strings.HasPrefix(e.Bin, e.Dir) {
		keys["libexec_dir"] = e.Bin
	}
	for k, v := range extra {
		keys[k] = v
	}
	data, err := json.MarshalIndent(keys, "", "  ") // JSON is YAML
	if err != nil {
		return err
	}
	e.Config = filepath.Join(e.Dir, "nemoclaw.yaml")
	return os.WriteFile(e.Config, data, 0o644)
}

func (e *Engine) startContainerd(p programs) error {
	dir := filepath.Join(e.Dir, "containerd")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	conf := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = %q
[ttrpc]
  address = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), e.containerdSock(), e.containerdSock()+".ttrpc")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	if err := e.daemon(p, "containerd", p.containerd, "--config", conf); err != nil {
		return err
	}
	return e.waitSocket(e.containerdSock(), "containerd")
}

func (e *Engine) containerdSock() string { return filepath.Join(e.Dir, "containerd.sock") }

// Sock is the engine's API socket.
func (e *Engine) Sock() string { return filepath.Join(e.Dir, "docker.sock") }

// DataRoot is dockerd's data-root, with the containers' records.
func (e *Engine) DataRoot() string { return filepath.Join(e.Dir, "docker", "data") }

// ExecRoot is dockerd's exec-root.
func (e *Engine) ExecRoot() string { return filepath.Join(e.Dir, "docker", "exec") }

func (e *Engine) startDockerd(p programs, extra map[string]any) error {
	dir := filepath.Join(e.Dir, "docker")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	conf := map[string]any{
		"data-root": e.DataRoot(), "exec-root": e.ExecRoot(), "pidfile": filepath.Join(dir, "pid"),
		"hosts": []string{"unix://" + e.Sock()}, "containerd": e.containerdSock(),
		"cgroup-parent": e.CgroupParent(),
		"runtimes": map[string]any{
			"nemoclaw": map[string]any{
				"path": filepath.Join(e.Bin, "nemoclaw-runtime"), "runtimeArgs": []string{"--config", e.Config},
			},
			"reference": map[string]any{"path": ReferenceRunc()},
		},
	}
	for k, v := range extra {
		conf[k] = v
	}
	data, err := json.MarshalIndent(conf, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return err
	}
	if err := e.daemon(p, "dockerd", p.dockerd, "--config-file", file); err != nil {
		return err
	}
	if err := e.waitSocket(e.Sock(), "dockerd"); err != nil {
		return err
	}
	_, err = e.Docker("version")
	return err
}

// CgroupParent is the cgroup that the engine puts containers in.
func (e *Engine) CgroupParent() string { return "/" + e.World.Name }

// daemon starts a program in the engine's namespaces with its output in a log
// file. DOCKER_MIN_API_VERSION lets Debian's old client talk to the new engine.
func (e *Engine) daemon(p programs, name string, argv ...string) error {
	log, err := os.Create(e.logFile(name))
	if err != nil {
		return err
	}
	defer log.Close()
	// A descriptor that whoever starts an engine may have left open: it must not
	// turn up in a helper or a container.
	marker, err := os.Create(e.LeakMarker())
	if err != nil {
		return err
	}
	defer marker.Close()
	cmd := e.World.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + p.path, "HOME=/root", "DOCKER_MIN_API_VERSION=1.24", "OTEL_SDK_DISABLED=true"}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{marker}
	if err := cmd.Start(); err != nil {
		return err
	}
	e.procs = append(e.procs, cmd)
	return nil
}

// LeakMarker is a file that the daemons inherit open.
func (e *Engine) LeakMarker() string { return filepath.Join(e.Dir, "inherited") }

func (e *Engine) logFile(name string) string { return filepath.Join(e.Dir, name+".log") }

// Log returns what a daemon ("dockerd", "containerd") has said.
func (e *Engine) Log(name string) string {
	b, _ := os.ReadFile(e.logFile(name))
	return string(b)
}

// waitSocket waits until somebody listens, at most half a minute.
func (e *Engine) waitSocket(path, name string) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
			return nil
		}
	}
	log := strings.Split(e.Log(name), "\n")
	return fmt.Errorf("%s does not listen; it said:\n%s", name, strings.Join(log[max(0, len(log)-15):], "\n"))
}

// Close removes the containers, stops the daemons and what hangs on them.
func (e *Engine) Close() error {
	var errs []error
	if len(e.procs) == 2 {
		if ids, err := e.Docker("ps", "-aq"); err == nil && strings.TrimSpace(ids) != "" {
			_, err := e.Docker(append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
			errs = append(errs, err)
		}
	}
	for i := len(e.procs) - 1; i >= 0; i-- {
		stop(e.procs[i], 15*time.Second)
	}
	e.procs = nil
	return errors.Join(errs...)
}
