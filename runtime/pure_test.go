package runtime

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]unix.Signal{
		"": unix.SIGTERM, "9": unix.SIGKILL, "KILL": unix.SIGKILL, "sigusr1": unix.SIGUSR1, "hup": unix.SIGHUP, "0": 0,
	} {
		if got, err := parseSignal(in); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	if _, err := parseSignal("NOPE"); err == nil || err.Error() != `unknown signal "NOPE"` {
		t.Errorf("unknown signal: %v", err)
	}
}

func TestSubCgroups(t *testing.T) {
	for _, test := range []struct {
		in   string
		want map[string]string
		err  string
	}{
		{"", map[string]string{}, ""},
		{"a/b", map[string]string{"": "a/b"}, ""},
		{"cpu,memory:a pids:b", map[string]string{"cpu": "a", "memory": "a", "pids": "b"}, ""},
		{"a b", nil, "missing <controller>"},
		{"cpu:a b", nil, "missing <controller>"},
		{":a", nil, "empty <controller>"},
		{"cpu,,x:a", nil, "empty <controller>"},
		{"cpu:a cpu:b", nil, "multiple times"},
	} {
		got, err := subCgroups(strings.Fields(test.in))
		if test.err == "" && (err != nil || !maps.Equal(got, test.want)) {
			t.Errorf("%q: %v, %v", test.in, got, err)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%q: error %v, want %q", test.in, err, test.err)
		}
	}
}

func TestPickProcesses(t *testing.T) {
	table := "UID   PID CMD\nroot    1 init\nroot   20 sh -c x\nroot    2 x\n"
	got, err := pickProcesses(table, []int{20, 2})
	if want := []string{"UID   PID CMD", "root   20 sh -c x", "root    2 x"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "UID CMD\nroot x\n", "UID PID\nroot\n", "PID\nx\n"} {
		if _, err := pickProcesses(bad, nil); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestExecUser(t *testing.T) {
	for _, test := range []struct {
		user     string
		uid, gid uint32
		err      string
	}{
		{"", 7, 8, ""},
		{"1000", 1000, 8, ""},
		{"1000:100", 1000, 100, ""},
		{"x", 0, 0, "bad uid"},
		{"1000:", 0, 0, "bad gid"},
		// Cut to 32 bits this is root.
		{"4294967296", 0, 0, "bad uid"},
		{"0:4294967296", 0, 0, "bad gid"},
		{"-1", 0, 0, "bad uid"},
	} {
		p := &specs.Process{User: specs.User{UID: 7, GID: 8}}
		err := (&ExecOptions{Args: []string{"x"}, User: test.user}).apply(p)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: error %v", test.user, err)
			}
			continue
		}
		if err != nil || p.User.UID != test.uid || p.User.GID != test.gid {
			t.Errorf("%q: %d:%d, %v", test.user, p.User.UID, p.User.GID, err)
		}
	}
}

func TestExecCapabilitiesNeverInheritable(t *testing.T) {
	p := &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}}}
	addCapabilities(p, []string{"CAP_CHOWN"})
	c := p.Capabilities
	if len(c.Inheritable) != 0 || len(c.Ambient) != 0 {
		t.Errorf("inheritable %v, ambient %v", c.Inheritable, c.Ambient)
	}
	if !slices.Equal(c.Bounding, []string{"CAP_KILL", "CAP_CHOWN"}) || !slices.Equal(c.Effective, []string{"CAP_CHOWN"}) {
		t.Errorf("bounding %v, effective %v", c.Bounding, c.Effective)
	}
	var none specs.Process
	addCapabilities(&none, []string{"CAP_CHOWN"})
	if none.Capabilities == nil {
		t.Error("a process without capabilities got none")
	}
}

func TestUpdateBandwidth(t *testing.T) {
	value := func(v uint64) *uint64 { return &v }
	signed := func(v int64) *int64 { return &v }
	for name, test := range map[string]struct {
		period *uint64
		quota  *int64
		p      uint64
		q      int64
	}{
		"neither resets both":     {nil, nil, 0, 0},
		"period keeps the quota":  {value(5), nil, 5, 20},
		"quota keeps the period":  {nil, signed(7), 10, 7},
		"both":                    {value(5), signed(7), 5, 7},
		"zeroes are as if absent": {value(0), signed(0), 0, 0},
	} {
		limits := &cgroups.Resources{CpuPeriod: 10, CpuQuota: 20}
		updateBandwidth(limits, &specs.LinuxCPU{Period: test.period, Quota: test.quota})
		if limits.CpuPeriod != test.p || limits.CpuQuota != test.q {
			t.Errorf("%s: period %d, quota %d", name, limits.CpuPeriod, limits.CpuQuota)
		}
	}
}

func TestPutDevice(t *testing.T) {
	weight := func(v uint16) *uint16 { return &v }
	dev := specs.LinuxWeightDevice{Weight: weight(30)}
	dev.Major, dev.Minor = 8, 1
	list := []*cgroups.WeightDevice{
		cgroups.NewWeightDevice(8, 1, 1, 0), cgroups.NewWeightDevice(8, 1, 2, 9), cgroups.NewWeightDevice(8, 0, 3, 0),
	}
	list = putWeight(list, dev)
	if len(list) != 3 || list[0].Weight != 1 || list[1].Weight != 30 || list[1].LeafWeight != 9 {
		t.Error("the last entry of the device was not the one changed")
	}
	dev.Major = 9
	if list = putWeight(list, dev); len(list) != 4 || list[3].Weight != 30 {
		t.Error("a new device was not added")
	}
	throttle := specs.LinuxThrottleDevice{Rate: 5}
	rates := putThrottle(nil, throttle)
	throttle.Rate = 6
	if rates = putThrottle(rates, throttle); len(rates) != 1 || rates[0].Rate != 6 {
		t.Error("a device's rate was not changed in place")
	}
}

func TestCheckConsole(t *testing.T) {
	for _, test := range []struct {
		terminal, detach bool
		socket           string
		ok               bool
	}{
		{false, false, "", true}, {true, false, "", true}, {false, true, "", true}, {true, true, "s", true},
		{true, true, "", false}, {false, false, "s", false}, {true, false, "s", false}, {false, true, "s", false},
	} {
		if err := checkConsole(test.terminal, test.detach, test.socket); (err == nil) != test.ok {
			t.Errorf("terminal %v, detach %v, socket %q: %v", test.terminal, test.detach, test.socket, err)
		}
	}
}

func TestCleanRoot(t *testing.T) {
	t.Chdir("/")
	for _, bad := range []string{"", ".", "/", "..", "/a/.."} {
		if _, err := CleanRoot(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if got, err := CleanRoot("a/b/../c"); err != nil || got != "/a/c" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestParseBoolOrAuto(t *testing.T) {
	for _, auto := range []string{"", "auto", "AUTO"} {
		if b, err := ParseBoolOrAuto(auto); b != nil || err != nil {
			t.Errorf("%q: %v, %v", auto, b, err)
		}
	}
	if b, err := ParseBoolOrAuto("true"); err != nil || !*b {
		t.Errorf("true: %v, %v", b, err)
	}
	if _, err := ParseBoolOrAuto("maybe"); err == nil {
		t.Error("maybe was accepted")
	}
}

func TestNoPolicyIsRemembered(t *testing.T) {
	without, with := &Host{Root: t.TempDir()}, &Host{Enforcement: &Enforcement{}}
	with.Root = without.Root
	for _, id := range []string{"free", "ruled"} {
		if err := os.Mkdir(without.stateDir(id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := without.markNoPolicy("free"); err != nil {
		t.Fatal(err)
	}
	free, ruled := &State{ID: "free", Annotations: map[string]string{policyAnnotation: "strict"}}, &State{ID: "ruled"}
	with.annotate(free)
	with.annotate(ruled)
	if free.Annotations[policyAnnotation] != noPolicy || ruled.Annotations != nil {
		t.Errorf("%v, %v", free.Annotations, ruled.Annotations)
	}
	for _, test := range []struct {
		h  *Host
		id string
		ok bool
	}{{without, "free", true}, {with, "ruled", true}, {without, "ruled", false}, {with, "free", false}} {
		if err := test.h.sameRules(test.id); (err == nil) != test.ok {
			t.Errorf("%s, enforced %v: %v", test.id, test.h.Enforcement != nil, err)
		}
	}
}
