package audit

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"plain text", "plain text"},
		{"über 日本", "über 日本"},
		{"a\x1b[31mred", "a\ufffd[31mred"},
		{"a\nb\tc\r", "a\ufffdb\ufffdc\ufffd"},
		{"bidi\u202eevil\u2066", "bidi\ufffdevil\ufffd"},
		{"zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"},
		{"c1\u009b31m", "c1\ufffd31m"},
		{"sep\u2028\u2029", "sep\ufffd\ufffd"},
		{"tag\U000e0041", "tag\ufffd"},
		{"bad\xff\xfeutf8", "bad\ufffd\ufffdutf8"},
		{"0123456789abcdef", "0123456789abcdef"},
		{"0123456789abcdefg", "0123456789abc…"},
		{"日本日本日本", "日本日本…"},
	} {
		if got := Clean(tc.in, 16); got != tc.want {
			t.Errorf("Clean(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain", 16)
	f.Add("a\x1b[0m\u202e", 3)
	f.Add(strings.Repeat("日", 9), 26)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < len(ellipsis) || limit > 1<<12 {
			return
		}
		got := Clean(s, limit)
		if len(got) > limit {
			t.Errorf("%d bytes, more than %d", len(got), limit)
		}
		if !utf8.ValidString(got) {
			t.Error("not UTF-8")
		}
		for _, r := range got {
			if !printable(r) {
				t.Errorf("%q holds %U", got, r)
			}
		}
		if again := Clean(got, limit); again != got {
			t.Errorf("cleaning twice: %q, then %q", got, again)
		}
	})
}
