package compile_test

import (
	"testing"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp/compile"
)

func BenchmarkAgent(b *testing.B) {
	for b.Loop() {
		p, err := compile.Agent()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(p)/8), "instructions")
	}
}
