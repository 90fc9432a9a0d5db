// Package integration holds the tests that need real engines: each runs on
// Debian's Docker 20.10 and on an engine of 29 or later, in a world of its own
// (package lab).
package integration

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/nemoclaw/nemoclaw/integration/lab"
	"github.com/nemoclaw/nemoclaw/internal/kerneltest"
)

// engines are started when a test first asks, one world for each kind, and
// stopped by TestMain.
var engines struct {
	sync.Mutex
	started map[lab.Kind]*lab.Engine
	failed  map[lab.Kind]error
}

func TestMain(m *testing.M) {
	engines.started, engines.failed = map[lab.Kind]*lab.Engine{}, map[lab.Kind]error{}
	code := m.Run()
	for kind, e := range engines.started {
		if err := closeEngine(e); err != nil {
			fmt.Fprintf(os.Stderr, "stopping %s: %v\n", kind, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

func closeEngine(e *lab.Engine) error {
	err := e.Close()
	if werr := e.World.Close(); err == nil {
		err = werr
	}
	return err
}

// engine returns the shared engine of a kind with its standing images.
func engine(t *testing.T, kind lab.Kind) *lab.Engine {
	t.Helper()
	kerneltest.Root(t)
	engines.Lock()
	defer engines.Unlock()
	if e := engines.started[kind]; e != nil {
		return e
	}
	if err := engines.failed[kind]; err != nil {
		t.Fatalf("no %s: %v", kind, err)
	}
	e, err := startEngine(kind, lab.Options{})
	if err != nil {
		engines.failed[kind] = err
		t.Fatal(err)
	}
	engines.started[kind] = e
	// The first containers make an engine's standing directories and networks:
	// after them, before/after comparisons mean something.
	for _, network := range []string{"bridge", "host"} {
		if r, err := e.RunRunc("--network", network, image(t, e, plain), "true"); err != nil || r.Code != 0 {
			t.Fatalf("the first container: %v, exit status %d\n%s", err, r.Code, r.Stderr)
		}
	}
	if r, err := e.Run(image(t, e, plain), "true"); err != nil || r.Code != 0 {
		t.Fatalf("the first container of ours: %v, exit status %d\n%s", err, r.Code, r.Stderr)
	}
	return e
}

// startEngine makes a world with one engine.
func startEngine(kind lab.Kind, opt lab.Options) (*lab.Engine, error) {
	w, err := lab.New()
	if err != nil {
		return nil, err
	}
	e, err := w.Start(kind, opt)
	if err != nil {
		w.Close()
		return nil, err
	}
	return e, nil
}

// onEngines runs the test on every kind of engine, side by side: each has a
// world of its own.
func onEngines(t *testing.T, f func(t *testing.T, e *lab.Engine)) {
	t.Helper()
	for _, kind := range lab.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f(t, engine(t, kind))
		})
	}
}

// image builds the recipe once for each engine and returns its reference.
func image(t *testing.T, e *lab.Engine, im lab.Image) string {
	t.Helper()
	if ref := e.Images[im.Name]; ref != "" {
		return ref
	}
	ref, err := e.Build(im)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
