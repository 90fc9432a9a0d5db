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
	resolveIPC(in, p)
	resolveNetwork(in, p)
	resolveTrust(in, p)
	return p, nil
}

// weaken records what holds less than the policy says (invariant: no silent weakening).
func (p *Plan) weaken(what, why, at string) {
	p.Weaker = append(p.Weaker, Weakening{What: what, Why: why, At: at})
}

// resolveIPC says what no rule governs: shared memory of System V is reached by
// user and not by path.
func resolveIPC(in *Input, p *Plan) {
	switch in.Facts.Spec.IPC {
	case NamespaceHost:
		p.weaken("memory shared with the host's processes (System V, of the same user)", "the container has the host's IPC namespace (--ipc=host)", "")
	case NamespacePath:
		p.weaken("memory shared with another container's processes", "the container joins an IPC namespace (--ipc=container:)", "")
	}
}

func resolveSeccomp(in *Input, p *Plan) {
	if in.Facts.Spec.Seccomp {
		p.Seccomp = Seccomp{First: EngineProfile, From: Source{Why: "the bundle's own profile stays as given"}}
		return
	}
	p.Seccomp = Seccomp{First: BackstopProfile, From: Source{Why: "the bundle brings no profile"}}
}
