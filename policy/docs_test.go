package policy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/policy"
)

// The examples of the manual load.
func TestManualsExamples(t *testing.T) {
	data, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		n++
		if _, _, err := policy.Parse("docs/policy.md", []byte(m[1])); err != nil {
			t.Error(err)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^LABEL io\.nemoclaw\.policy="(.*)"$`).FindAllStringSubmatch(string(data), -1) {
		if strings.HasPrefix(m[1], "$") {
			continue
		}
		n++
		l, err := policy.ParseLabel(m[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if l.Kind == policy.LabelInline {
			if _, _, err := policy.Parse("label", l.Data); err != nil {
				t.Error(err)
			}
		} else if _, err := policy.Presets(l.Names, policy.Settings{}); err != nil {
			t.Error(err)
		}
	}
	if n < 4 {
		t.Errorf("only %d examples", n)
	}
}
