package doctor

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/nemoclaw/nemoclaw/config"
)

// Programs looks whether all of ours are there, and of one version. runtimePath
// is "" where nemoclaw-runtime was not found.
func Programs(conf *config.Config, runtimePath, version, commit string) []Finding {
	found := []Finding{runtimeFinding(runtimePath, version, commit)}
	if conf == nil {
		return found
	}
	for _, name := range []string{"nemoclaw-supervisor", "nemoclaw-broker"} {
		path, err := conf.Helper(name)
		if err != nil {
			found = append(found, program(name, Fail, err.Error(), "`make install`, or set libexec_dir"))
			continue
		}
		found = append(found, versionFinding(name, path, version, commit))
	}
	return append(found, stubFinding(conf))
}

func program(name string, level Level, what, fix string) Finding {
	return Finding{"programs", name, level, what, fix}
}

func runtimeFinding(path, version, commit string) Finding {
	const name = "nemoclaw-runtime"
	if path == "" {
		return program(name, Fail, "it is neither beside this program nor on PATH", "`make install`")
	}
	return versionFinding(name, path, version, commit)
}

// versionFinding runs a program with --version and compares its first line with
// ours. Programs of two builds may not understand each other's messages.
func versionFinding(name, path, version, commit string) Finding {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return program(name, Fail, fmt.Sprintf("%s --version: %v", path, err), "build and install all programs together")
	}
	if problem := differs(out, version, commit); problem != "" {
		return program(name, Fail, path+" "+problem, "build and install all programs together: `make install`")
	}
	return program(name, OK, path+", version "+version, "")
}

// differs says how the output of --version is of another build than ours: the
// version must be a word of its first line, the commit, where both tell one, a
// word of any.
func differs(out []byte, version, commit string) string {
	words := bufio.NewScanner(bytes.NewReader(out))
	words.Split(bufio.ScanWords)
	first, _, _ := strings.Cut(string(out), "\n")
	if !hasWord(first, version) {
		return fmt.Sprintf("is another version (%.80q) than this program (%s)", first, version)
	}
	theirs := false
	for words.Scan() {
		w := strings.Trim(words.Text(), ",:;()")
		if commit != "" && w == commit {
			return ""
		}
		theirs = theirs || w == "commit"
	}
	if commit != "" && theirs {
		return "is of another commit than this program (" + commit + ")"
	}
	return ""
}

func hasWord(line, word string) bool {
	for _, w := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t,;()", r) }) {
		if w == word {
			return true
		}
	}
	return false
}

// stubFinding looks at nemoclaw-init, which says nothing of itself: it must be
// there, static, and for this machine.
func stubFinding(conf *config.Config) Finding {
	const name = "nemoclaw-init"
	path, err := conf.Helper(name)
	if err != nil {
		return program(name, Fail, err.Error(), "`make install`, or set libexec_dir")
	}
	f, err := elf.Open(path)
	if err != nil {
		return program(name, Fail, fmt.Sprintf("%s: %v", path, err), "build it again")
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			err = errors.New("it needs a dynamic loader, which an image need not have")
		}
	}
	if err != nil {
		return program(name, Fail, fmt.Sprintf("%s: %v", path, err), "build it again")
	}
	return program(name, OK, path+", static", "")
}
