package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/nemoclaw/nemoclaw/runtime"
)

func TestFlagsFirst(t *testing.T) {
	p := &program{host: &runtime.Host{}}
	app := p.app()
	for _, test := range []struct{ in, out string }{
		{"delete ID --force", "delete --force ID"},
		{"delete ID -f", "delete -f ID"},
		{"--root /r delete ID --force", "--root /r delete --force ID"},
		{"--root=/r --debug kill ID KILL --all", "--root=/r --debug kill --all ID KILL"},
		{"run ID --bundle /b -d", "run --bundle /b -d ID"},
		{"create ID --bundle=/b --pid-file /p", "create --bundle=/b --pid-file /p ID"},
		{"update ID --memory -1", "update --memory -1 ID"},
		{"run ID -- --keep", "run ID -- --keep"},
		{"delete ID --unknown", "delete ID --unknown"},
		{"delete ID --help", "delete --help ID"},
		{"delete --force", "delete --force"},
		// The command's own flags are not ours.
		{"exec ID ls -t", "exec ID ls -t"},
		{"ps ID -f", "ps ID -f"},
		{"unknown ID --force", "unknown ID --force"},
		{"--unknown delete ID --force", "--unknown delete ID --force"},
		{"--version", "--version"},
		{"", ""},
	} {
		got := flagsFirst(app, append([]string{"runc"}, strings.Fields(test.in)...))
		if want := append([]string{"runc"}, strings.Fields(test.out)...); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", test.in, got, want)
		}
	}
}
