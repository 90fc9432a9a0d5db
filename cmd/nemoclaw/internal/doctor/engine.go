package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/daemonjson"
	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/dockerd"
)

// Engine looks at Docker: is it there, and does it know the runtime.
type Engine struct {
	DaemonJSON  string // path of its configuration
	Socket      string
	RuntimeName string // as in docker run --runtime=
	RuntimePath string // where nemoclaw-runtime is; "": not found
}

func engine(name string, level Level, what, fix string) Finding {
	return Finding{"engine", name, level, what, fix}
}

// Findings asks the engine's file and the engine itself.
func (e *Engine) Findings(ctx context.Context) []Finding {
	file := e.fileFinding()
	info, err := dockerd.Ask(ctx, e.Socket)
	switch {
	case errors.Is(err, dockerd.ErrNotRunning):
		return []Finding{file, engine("docker", Warn, "nobody answers at "+e.Socket, "start it, or name its socket with --socket")}
	case err != nil:
		return []Finding{file, engine("docker", Warn, err.Error(), "run `nemoclaw doctor` as root")}
	}
	return []Finding{file, engine("docker", OK, fmt.Sprintf("version %s, %s storage, cgroup driver %s",
		info.Version, info.StorageDriver, info.CgroupDriver), ""), e.liveFinding(info)}
}

// fileFinding says whether the engine will know the runtime when it starts.
func (e *Engine) fileFinding() Finding {
	const name = "daemon.json"
	file, err := dockerd.ReadFile(e.DaemonJSON)
	if err != nil {
		return engine(name, Warn, err.Error(), "")
	}
	entry, isDefault, err := daemonjson.Lookup(file.Text, e.RuntimeName)
	switch {
	case err != nil:
		return engine(name, Fail, e.DaemonJSON+": "+err.Error(), "mend it; the engine does not start with it")
	case entry == nil:
		return engine(name, Warn, e.DaemonJSON+" does not name the runtime", "nemoclaw install docker")
	case e.RuntimePath != "" && entry.Path != e.RuntimePath:
		return engine(name, Warn, fmt.Sprintf("%s names %s, but the runtime beside this program is %s", e.DaemonJSON, entry.Path, e.RuntimePath), "nemoclaw install docker")
	case isDefault:
		return engine(name, OK, e.DaemonJSON+" names the runtime, for all containers that ask for none", "")
	}
	return engine(name, OK, e.DaemonJSON+" names the runtime", "")
}

// liveFinding says whether the running engine knows it.
func (e *Engine) liveFinding(info *dockerd.Info) Finding {
	const name = "registered"
	r, ok := info.Runtimes[e.RuntimeName]
	if !ok {
		return engine(name, Fail, "the running engine does not know the runtime", "nemoclaw install docker")
	}
	if e.RuntimePath != "" && r.Path != "" && r.Path != e.RuntimePath {
		return engine(name, Warn, fmt.Sprintf("the running engine calls %s, but the runtime beside this program is %s", r.Path, e.RuntimePath), "nemoclaw install docker")
	}
	return engine(name, OK, "docker run --runtime="+e.RuntimeName+" IMAGE", "")
}
