package network

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// fences are the golden ones; testdata/NAME.nft is what nft lists for each.
var fences = map[string]Fence{
	"full": {
		Ports:      Ports{TCP4: 40001, TCP6: 40002, DNSUDP4: 40003, DNSUDP6: 40004, DNSTCP4: 40005, DNSTCP6: 40006, IngressLog: 20035},
		Mark:       0x4e43,
		IngressTCP: []uint16{18789, 80, 443, 8080, 80, 65535, 1},
	},
	"ipv4-closed": {
		Ports: Ports{TCP4: 40001, DNSUDP4: 40003, DNSTCP4: 40005},
		Mark:  0x80000001,
	},
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".nft")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func TestRules(t *testing.T) {
	for name, f := range fences {
		if err := check(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden(t, name, Rules(f).String())
	}
}

// TestDenyAtTheBottom: whatever a Fence says, nothing leaves or enters by
// falling out of a chain.
func TestDenyAtTheBottom(t *testing.T) {
	for name, f := range fences {
		hooks := map[string]bool{}
		for _, c := range Rules(f).Chains {
			if c.Kind == "filter" {
				hooks[c.Hook] = true
				if !c.Drop {
					t.Errorf("%s: the chain %s does not drop", name, c.Name)
				}
			}
			for _, r := range c.Rules {
				if r.Why == "" || len(r.Why) > 127 {
					t.Errorf("%s: rule %q has a comment of %d bytes", name, r.Text, len(r.Why))
				}
			}
		}
		for _, h := range []string{"input", "output", "postrouting", "forward"} {
			if !hooks[h] {
				t.Errorf("%s: no filter on %s", name, h)
			}
		}
	}
}

func TestFencesThatAreRefused(t *testing.T) {
	full := fences["full"]
	noMark, noTCP, noDNS, port0 := full, full, full, full
	noMark.Mark, noTCP.TCP4, noDNS.DNSUDP4, port0.IngressTCP = 0, 0, 0, []uint16{80, 0}
	for want, f := range map[string]Fence{"mark": noMark, "listener": noTCP, "no listener": noDNS, "port 0": port0} {
		if err := check(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error about the %s", f, err, want)
		}
	}
}
