package plan

import "slices"

// Resolve decides everything that will be done for one container. It returns
// Refusals when the bundle, the policy or the host leave no safe way.
func Resolve(in *Input) (*Plan, error) {
	p := &Plan{
		Version: Version,
		ID:      in.Facts.ID, Bundle: in.Facts.Bundle, Root: in.Facts.Root,
		Policy: in.Policy, Ceiling: in.Ceiling, Effective: in.Effective,
		Clamped: slices.Clone(in.Clamped),
	}
	refused := refuse(&in.Facts)
	refused = append(refused, refuseUnsupported(in.Effective)...)
	refused = append(refused, resolveLandlock(in, p)...)
	refused = append(refused, resolveProcess(in, p)...)
	if len(refused) > 0 {
		return nil, refused
	}
	resolveFilesystem(in, p)
	resolveSeccomp(in, p)
	resolveNetwork(in, p)
	resolveTrust(in, p)
	return p, nil
}

// weaken records what holds less than the policy says (invariant: no silent weakening).
func (p *Plan) weaken(what, why, at string) {
	p.Weaker = append(p.Weaker, Weakening{What: what, Why: why, At: at})
}

func resolveSeccomp(in *Input, p *Plan) {
	if in.Facts.Spec.Seccomp {
		p.Seccomp = Seccomp{First: EngineProfile, From: Source{Why: "the bundle's own profile stays as given"}}
		return
	}
	p.Seccomp = Seccomp{First: BackstopProfile, From: Source{Why: "the bundle brings no profile"}}
}
