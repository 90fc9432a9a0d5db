package sandbox

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/nemoclaw/nemoclaw/plan"
	"github.com/nemoclaw/nemoclaw/policy"
)

func TestDirKeepsPlanAndEnforced(t *testing.T) {
	run := t.TempDir()
	d := DirOf(run, "/run/runc", "a-b")
	if err := d.Make(); err != nil {
		t.Fatal(err)
	}
	if err := d.Make(); !errors.Is(err, ErrExists) {
		t.Fatalf("second Make: %v, want ErrExists", err)
	}
	if _, err := d.LoadPlan(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("LoadPlan before SavePlan: %v", err)
	}
	if err := d.SavePlan(&plan.Plan{Version: plan.Version, ID: "a-b"}); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveEnforced(&Enforced{Rules: []Rule{{Path: "/tmp", Inode: 7}}}); err != nil {
		t.Fatal(err)
	}
	dirs, err := List(run)
	if err != nil || len(dirs) != 1 || dirs[0].ID() != "a-b" {
		t.Fatalf("List: %v, %v", dirs, err)
	}
	p, err := dirs[0].LoadPlan()
	if err != nil || p.ID != "a-b" {
		t.Fatalf("LoadPlan: %+v, %v", p, err)
	}
	e, err := dirs[0].LoadEnforced()
	if err != nil || e.Rules[0].Inode != 7 {
		t.Fatalf("LoadEnforced: %+v, %v", e, err)
	}
	if err := errors.Join(d.Remove(), d.Remove()); err != nil {
		t.Fatal(err)
	}
}

func TestDirDiffersByRoot(t *testing.T) {
	if DirOf("/r", "/a", "x").Path() == DirOf("/r", "/b", "x").Path() {
		t.Fatal("two --root directories share a sandbox directory")
	}
}

func TestLoadPlanRefusesAnotherVersion(t *testing.T) {
	d := DirOf(t.TempDir(), "/", "x")
	if err := errors.Join(d.Make(), d.SavePlan(&plan.Plan{Version: 99})); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LoadPlan(); err == nil {
		t.Fatal("a plan of version 99 was read")
	}
}

func TestNetnsLockHasOneHolder(t *testing.T) {
	run := t.TempDir()
	var inside, most int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			n, err := LockNetns(run, 5)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			slot := &Slot{Dir: run + "/supervisors/1", Number: 1}
			if err := n.Claim(slot); err != nil {
				t.Error(err)
			}
			got, err := n.Slot()
			if err != nil || got.Number != 1 {
				t.Errorf("Slot: %v, %v", got, err)
			}
			mu.Lock()
			inside--
			mu.Unlock()
			if err := n.Release(); err != nil {
				t.Error(err)
			}
			n.Unlock()
		})
	}
	wg.Wait()
	if most != 1 {
		t.Fatalf("%d holders at once", most)
	}
	left, _ := os.ReadDir(run + "/netns")
	if len(left) != 0 {
		t.Fatalf("left in netns/: %v", left)
	}
}

func TestConnCarriesMessagesAndFiles(t *testing.T) {
	a, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	big := bytes.Repeat([]byte("x"), 3<<20)
	go func() {
		defer w.Close()
		if err := a.Send(&Request{Verb: VerbAdd, Container: &Container{ID: "x", Policy: &policy.Document{Name: string(big)}}}, w); err != nil {
			t.Error(err)
			a.Close()
		}
	}()
	var req Request
	files, err := b.Receive(&req)
	if err != nil || len(files) != 1 || req.Container.ID != "x" || len(req.Container.Policy.Name) != len(big) {
		t.Fatalf("Receive: %d files, %v", len(files), err)
	}
	files[0].Write([]byte("!"))
	files[0].Close()
	one := make([]byte, 1)
	if _, err := r.Read(one); err != nil || one[0] != '!' {
		t.Fatalf("the descriptor leads elsewhere: %q, %v", one, err)
	}
}

func TestConnRefusesHugeMessages(t *testing.T) {
	a, f, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a.Socket().Write([]byte{0xff, 0xff, 0xff, 0xff})
	if _, err := b.Receive(new(Request)); !errors.Is(err, ErrMessageSize) {
		t.Fatalf("Receive: %v, want ErrMessageSize", err)
	}
}
