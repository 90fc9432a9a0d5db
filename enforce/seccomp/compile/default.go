package compile

import (
	"fmt"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// DefaultProfile returns Docker's default profile (moby/profiles/seccomp) as it
// is for a process without capabilities: for bundles that bring none.
func DefaultProfile() (*specs.LinuxSeccomp, error) {
	profile, err := seccomp.GetDefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}})
	if err != nil {
		return nil, fmt.Errorf("making Docker's default seccomp profile: %w", err)
	}
	return profile, nil
}
