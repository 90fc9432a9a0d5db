package policy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

// Every file of others loads without an edit, compiles, and stays valid under
// the built-in ceiling.
func TestFilesOfOthersLoad(t *testing.T) {
	roots := []string{"testdata/policies"}
	// The originals, where the checkout has them beside it; the copies above
	// hold everything that is tested.
	if _, err := os.Stat("../../shared/data/policies"); err == nil {
		roots = append(roots, "../../shared/data/policies")
	}
	n := 0
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".yaml") {
				return err
			}
			n++
			loads(t, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 20 {
		t.Errorf("only %d files", n)
	}
}

func loads(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, _, err := policy.Parse(path, fillTemplate(data))
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	if _, err := policy.Compile(doc); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	narrow, _, err := policy.Narrow(doc, policy.BuiltinCeiling())
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	if _, err := policy.Compile(narrow); err != nil {
		t.Errorf("%s, narrowed: %v", path, err)
	}
}
