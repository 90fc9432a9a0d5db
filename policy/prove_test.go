package policy_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nemoclaw/nemoclaw/policy"
)

// A document is within itself, and a narrowed one within both sides; where a
// random request shows a widening, Prove finds one too.
func TestProveAgreesWithRandomRequests(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 200
	}
	proven, refuted := 0, 0
	for seed := range uint64(n) {
		c := chooser(rand.New(rand.NewPCG(seed, 2)).IntN)
		a, b := randomDocument(c, "a"), randomDocument(c, "b")
		ma, errA := policy.Compile(a)
		mb, errB := policy.Compile(b)
		if errA != nil || errB != nil {
			continue
		}
		both, _, err := policy.Narrow(a, b)
		if err != nil {
			t.Fatal(err)
		}
		denied := addDeny(c, a)
		md, err := policy.Compile(denied)
		if err != nil {
			continue
		}
		for _, pair := range [][2]*policy.Document{{a, a}, {both, a}, {both, b}, {denied, a}} {
			if c, err := policy.Prove(pair[0], pair[1]); err != nil || c != nil {
				t.Fatalf("seed %d: %v %+v", seed, err, c)
			}
		}
		if c(2) == 0 { // a near pair: often within each other, by a hair
			b, mb = denied, md
		}
		found, err := policy.Prove(a, b)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if found == nil {
			proven++
			for range 300 {
				r := randomRequest(c)
				if ma.Decide(r).Verdict != policy.Deny && mb.Decide(r).Verdict == policy.Deny {
					t.Fatalf("seed %d: proven, but %s", seed, r.Text())
				}
			}
			continue
		}
		refuted++
		if found.Request != nil && ma.Decide(found.Request).Verdict == policy.Deny {
			t.Fatalf("seed %d: the counterexample is refused by both: %s", seed, found.What)
		}
	}
	t.Logf("%d proven, %d refuted", proven, refuted)
	if proven < n/100 || refuted < n/20 {
		t.Errorf("the sample shows too little: %d proven, %d refuted", proven, refuted)
	}
}

func TestProveIsQuickForShippedPolicies(t *testing.T) {
	for _, info := range policy.PresetNames() {
		doc, err := policy.Preset(info.Name, testSettings())
		if err != nil {
			t.Fatal(err)
		}
		took := quickest(time.Second, func() {
			if c, err := policy.Prove(doc, doc); err != nil || c != nil {
				t.Errorf("%s: %v %+v", info.Name, err, c)
			}
		})
		if took > time.Second {
			t.Errorf("%s took %s", info.Name, took)
		}
	}
}

// quickest gives the best of five runs, until one is quick enough: the machine
// may have other things to do. Under the race detector time counts less.
func quickest(enough time.Duration, run func()) time.Duration {
	best := time.Duration(1<<63 - 1)
	for range 5 {
		start := time.Now()
		run()
		if best = min(best, time.Since(start)/slower); best <= enough {
			break
		}
	}
	return best
}
