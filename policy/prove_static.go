package policy

import (
	"fmt"
	"slices"
)

// proveFiles compares the access of every path that either side lists; between
// them nothing changes.
func proveFiles(a, b *Document) *Counterexample {
	fa, fb := a.EffectiveFilesystem(), b.EffectiveFilesystem()
	if fa.IncludeWorkdir && !fb.IncludeWorkdir {
		return &Counterexample{What: "the work directory is included", At: fa.At.String()}
	}
	for _, p := range allPaths(&fa, &fb) {
		la, lb := fa.level(p), fb.level(p)
		if la <= lb {
			continue
		}
		at := ""
		if d := fa.decider(p); d != nil {
			at = d.At.String()
		}
		return &Counterexample{Path: p, Write: la == levelWrite, What: fmt.Sprintf("%s is %s, where the other gives %s", p, la, lb), At: at}
	}
	return nil
}

// proveExtensions compares the nemoclaw sections: narrowing the one by the
// other must change nothing.
func proveExtensions(a, b *Document) *Counterexample {
	x := a.Nemoclaw
	if x == nil {
		x = &Extensions{}
	}
	plain := &Document{Name: a.Name, Nemoclaw: x}
	n := &narrower{doc: plain, ceiling: b}
	n.extensions()
	for _, c := range n.clamps {
		return &Counterexample{What: c.What, At: c.At.String()}
	}
	switch after := plain.Nemoclaw; {
	case limitsDiffer(x.Limits, after.Limits):
		return &Counterexample{What: "the limits are higher", At: x.At.String()}
	case (after.Workspace != nil && after.Workspace.Transactional) && (x.Workspace == nil || !x.Workspace.Transactional):
		return &Counterexample{What: "the workspace is written directly", At: x.At.String()}
	case x.Approvals != nil && after.Approvals != nil && (x.Approvals.Hold != after.Approvals.Hold || x.Approvals.MaxGrant != after.Approvals.MaxGrant):
		return &Counterexample{What: "approvals hold or last longer", At: x.Approvals.At.String()}
	case x.Inference != nil && !sameInference(x.Inference, after.Inference):
		return &Counterexample{What: "inference is wider", At: x.Inference.At.String()}
	case x.GPU != nil && after.GPU != nil && x.GPU.Sidecar != after.GPU.Sidecar:
		return &Counterexample{What: "gpu.sidecar is wider", At: x.GPU.At.String()}
	}
	return nil
}

func limitsDiffer(a, b *Limits) bool {
	if a == nil {
		a = &Limits{}
	}
	if b == nil {
		b = &Limits{}
	}
	return a.RequestsPerMinute != b.RequestsPerMinute || a.BytesOut != b.BytesOut || a.Connections != b.Connections
}

func sameInference(a, b *Inference) bool {
	return b != nil && a.AnyBinary == b.AnyBinary && slices.Equal(a.Binaries, b.Binaries) &&
		slices.EqualFunc(a.Routes, b.Routes, func(x, y Named) bool { return x.Name == y.Name }) &&
		(a.Routes == nil) == (b.Routes == nil) && a.MaxClass == b.MaxClass && a.TokensPerDay == b.TokensPerDay
}
