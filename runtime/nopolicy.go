package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/nemoclaw/nemoclaw/hooks"
)

const (
	// noPolicyFile lies in the state directory of a container that was made
	// without a policy. It is no annotation in the spec: hooks would see that.
	noPolicyFile = "no-policy"
	// policyAnnotation and noPolicy are what `state` says of such a container.
	policyAnnotation = hooks.PolicyKey
	noPolicy         = "none"
)

// markNoPolicy remembers that nothing is enforced on a container.
func (h *Host) markNoPolicy(id string) error {
	return os.WriteFile(filepath.Join(h.stateDir(id), noPolicyFile), nil, 0o600)
}

// hasNoPolicy says whether a container was made without a policy.
func (h *Host) hasNoPolicy(id string) bool {
	return unix.Access(filepath.Join(h.stateDir(id), noPolicyFile), unix.F_OK) == nil
}

// sameRules refuses to act on a container under other rules than it was made
// under: a process that --no-policy adds to a container under policy would be
// free, and a delete would leave the supervisor behind.
func (h *Host) sameRules(id string) error {
	switch made, now := h.hasNoPolicy(id), h.Enforcement == nil; {
	case made == now:
		return nil
	case now:
		return fmt.Errorf("container %s is under a policy: --no-policy does not apply", id)
	}
	return errors.New("container " + id + " was made with --no-policy, and is under no policy")
}

// annotate adds to a state that no policy is in force, whatever the spec's
// author wrote there.
func (h *Host) annotate(s *State) {
	if !h.hasNoPolicy(s.ID) {
		return
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[policyAnnotation] = noPolicy
}
