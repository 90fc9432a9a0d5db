package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	in := strings.Join([]string{
		`{"Action":"output","Package":"m/a","Test":"TestOK","Output":"=== RUN   TestOK\n"}`,
		`{"Action":"pass","Package":"m/a","Test":"TestOK","Elapsed":0.1}`,
		`{"Action":"output","Package":"m/a","Test":"TestSkip","Output":"    a_test.go:12: kernel: no Landlock\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestSkip","Output":"--- SKIP: TestSkip (0.00s)\n"}`,
		`{"Action":"skip","Package":"m/a","Test":"TestSkip","Elapsed":0}`,
		`{"Action":"output","Package":"m/a","Test":"TestBad","Output":"    a_test.go:3: it broke\n"}`,
		`{"Action":"fail","Package":"m/a","Test":"TestBad","Elapsed":0}`,
		`{"Action":"output","Package":"m/a","Test":"TestHung","Output":"still here\n"}`,
		`{"Action":"fail","Package":"m/a","Elapsed":0.2}`,
		`{"ImportPath":"m/b","Action":"build-output","Output":"b.go:1: no such thing\n"}`,
		`{"Action":"fail","Package":"m/b","FailedBuild":"m/b"}`,
		`not json`,
	}, "\n")
	var out strings.Builder
	r := newReport()
	if err := r.read(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if r.finish(&out) {
		t.Error("finish says all is well after failures")
	}
	for _, want := range []string{
		"m/a TestSkip: kernel: no Landlock", "it broke", "b.go:1: no such thing", "still here", "not json",
		"1 passed, 1 failed, 1 skipped, in 2 packages",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("missing %q in:\n%s", want, out.String())
		}
	}
}

func TestNothingRanIsAFailure(t *testing.T) {
	var out strings.Builder
	if newReport().finish(&out) {
		t.Error("a run without a single test passes")
	}
}
