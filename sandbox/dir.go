package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nemoclaw/nemoclaw/plan"
)

const (
	planFile     = "plan.json"
	enforcedFile = "enforced.json"
	// maxState bounds what is read back of a state file: two policies and the rules.
	maxState = 16 << 20
	// rootHash is how many bytes of the hash of --root stand in a directory's name.
	rootHash = 4
)

// ErrExists says that a sandbox of this id and --root is there already.
var ErrExists = errors.New("the sandbox exists already")

// Dir is the state directory of one container. The zero value is not valid.
type Dir struct {
	path string
}

// DirOf names the directory of the container id under the runtime's --root. It
// is the caller's to have checked id (no slash, not . or ..).
func DirOf(runDir, root, id string) *Dir {
	sum := sha256.Sum256([]byte(filepath.Clean(root)))
	return &Dir{filepath.Join(runDir, "sandboxes", hex.EncodeToString(sum[:rootHash])+"-"+id)}
}

// List returns the directories of all sandboxes, by name. No run_dir means none.
func List(runDir string) ([]*Dir, error) {
	entries, err := os.ReadDir(filepath.Join(runDir, "sandboxes"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing sandboxes: %w", err)
	}
	dirs := make([]*Dir, 0, len(entries))
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, &Dir{filepath.Join(runDir, "sandboxes", e.Name())})
		}
	}
	return dirs, nil
}

// Path returns the directory's path.
func (d *Dir) Path() string { return d.path }

// ID returns the container's id, as the directory's name has it.
func (d *Dir) ID() string {
	_, id, _ := strings.Cut(filepath.Base(d.path), "-")
	return id
}

// Join returns the path of a file in the directory.
func (d *Dir) Join(name string) string { return filepath.Join(d.path, name) }

// Make creates the directory, 0700. The error wraps ErrExists if it is there.
func (d *Dir) Make() error {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return fmt.Errorf("making the sandboxes' directory: %w", err)
	}
	err := os.Mkdir(d.path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making %s: %w", d.path, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("making the sandbox's directory: %w", err)
	}
	return nil
}

// Remove removes the directory and what is in it. That it is gone is no error.
func (d *Dir) Remove() error {
	if err := os.RemoveAll(d.path); err != nil {
		return fmt.Errorf("removing the sandbox's directory: %w", err)
	}
	return nil
}

// SavePlan writes plan.json.
func (d *Dir) SavePlan(p *plan.Plan) error { return writeJSON(d.Join(planFile), p) }

// LoadPlan reads plan.json. Where there is none the error wraps fs.ErrNotExist.
func (d *Dir) LoadPlan() (*plan.Plan, error) {
	p := new(plan.Plan)
	if err := readJSON(d.Join(planFile), p); err != nil {
		return nil, err
	}
	if p.Version != plan.Version {
		return nil, fmt.Errorf("reading %s: version %d, this program knows %d", d.Join(planFile), p.Version, plan.Version)
	}
	return p, nil
}

// SaveEnforced writes enforced.json.
func (d *Dir) SaveEnforced(e *Enforced) error { return writeJSON(d.Join(enforcedFile), e) }

// LoadEnforced reads enforced.json. Where there is none the error wraps
// fs.ErrNotExist.
func (d *Dir) LoadEnforced() (*Enforced, error) {
	e := new(Enforced)
	if err := readJSON(d.Join(enforcedFile), e); err != nil {
		return nil, err
	}
	return e, nil
}

// Enforced is what was carried out of a plan. Its JSON is enforced.json.
type Enforced struct {
	// Slot is the directory of the broker and supervisor. Empty: not policed.
	Slot string `json:"slot,omitempty"`
	// Cookie is that of the network namespace; 0: not known yet.
	Cookie uint64 `json:"netns_cookie,omitempty"`
	// InitPID is the container's first process, in the host's pid namespace;
	// InitStart its start time in clock ticks since boot (proc_pid_stat(5), 22).
	InitPID   int    `json:"init_pid,omitempty"`
	InitStart uint64 `json:"init_start,omitempty"`
	// LandlockABI is what the ruleset was made with; 0: none.
	LandlockABI int `json:"landlock_abi"`
	// Rules are the plan's rules as they were found in the container.
	Rules []Rule `json:"rules"`
	// Skipped are optional paths of the plan that were left out, each as "PATH: why".
	Skipped []string `json:"skipped,omitempty"`
	// AuditLog is the container's log.
	AuditLog string `json:"audit_log,omitempty"`
	// Complete says that all of the plan is in place; without it nothing runs.
	Complete bool `json:"complete"`
}

// Rule is a path rule of the plan after it was opened in the container.
type Rule struct {
	// Path is the plan's, Resolved what it led to, without symbolic links.
	Path     string      `json:"path"`
	Resolved string      `json:"resolved"`
	Access   plan.Access `json:"access"`
	Dev      uint64      `json:"dev"`
	Inode    uint64      `json:"inode"`
}

// writeJSON replaces a file in one step: a reader sees the old or the new one.
func writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	tmp := name + ".new"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func readJSON(name string, v any) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading sandbox state: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if st.Size() > maxState {
		return fmt.Errorf("reading %s: %d bytes, the bound is %d", name, st.Size(), maxState)
	}
	if err := json.NewDecoder(f).Decode(v); err != nil {
		return fmt.Errorf("decoding %s: %w", name, err)
	}
	return nil
}
