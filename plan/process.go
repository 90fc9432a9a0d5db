package plan

import (
	"fmt"
	"slices"
	"strings"
)

// resolveProcess decides the user and the capabilities.
func resolveProcess(in *Input, p *Plan) Refusals {
	refused := resolveUser(in, p)
	return append(refused, resolveCapabilities(in, p)...)
}

func resolveUser(in *Input, p *Plan) Refusals {
	f := &in.Facts
	p.Process.UID, p.Process.GID = f.Spec.UID, f.Spec.GID
	p.Process.Reserved = f.SupervisorUIDs
	p.Process.From = Source{Why: "the user of the image or the run command"}
	proc := in.Effective.Process
	if proc == nil || proc.RunAsUser == "" && proc.RunAsGroup == "" {
		return nil
	}
	at := proc.At.String()
	switch {
	case !f.RunAs.Found:
		return Refusals{{
			What: fmt.Sprintf("process.run_as_user %q, run_as_group %q", proc.RunAsUser, proc.RunAsGroup), At: at,
			Why: f.RunAs.Problem, Fix: "use a user of the image, or a number",
		}}
	case f.SupervisorUIDs.Contains(f.RunAs.UID), f.SupervisorUIDs.Contains(f.RunAs.GID):
		return Refusals{{
			What: fmt.Sprintf("process.run_as_user %d, run_as_group %d", f.RunAs.UID, f.RunAs.GID), At: at,
			Why: "the number lies in the range of the supervisors' own users", Fix: "choose another",
		}}
	}
	p.Process.UID, p.Process.GID, p.Process.ChangeUser = f.RunAs.UID, f.RunAs.GID, true
	p.Process.From = Source{At: at, Why: "process.run_as_user"}
	return nil
}

// resolveCapabilities leaves what both the policy and the bundle grant. The
// default policy grants none.
func resolveCapabilities(in *Input, p *Plan) Refusals {
	p.Process.Capabilities = []string{}
	if in.Effective.Nemoclaw == nil {
		return nil
	}
	var out Refusals
	for _, c := range in.Effective.Nemoclaw.Capabilities {
		name := capName(c.Name)
		if why, bad := undoing[name]; bad && !slices.Contains(in.Facts.Allow.Capabilities, name) {
			out = append(out, &Refusal{
				What: "capability " + name, At: c.At.String(), Why: why,
				Fix: "take it out of nemoclaw.capabilities, or list it under allow.capabilities in the host's configuration",
			})
			continue
		}
		if slices.Contains(in.Facts.Spec.Capabilities, name) {
			p.Process.Capabilities = append(p.Process.Capabilities, name)
		}
	}
	slices.Sort(p.Process.Capabilities)
	p.Process.Capabilities = slices.Compact(p.Process.Capabilities)
	return out
}

// capName gives the kernel's name: NET_BIND_SERVICE and cap_net_bind_service
// are how people write it (capabilities(7)).
func capName(s string) string {
	s = strings.ToUpper(s)
	if strings.HasPrefix(s, "CAP_") {
		return s
	}
	return "CAP_" + s
}
