package main

import (
	"fmt"
	"slices"

	"github.com/nemoclaw/nemoclaw/cmd/nemoclaw/internal/posture"
	"github.com/nemoclaw/nemoclaw/plan"
)

// check is one line of what the plan says and what the kernel says.
type check struct {
	What    string `json:"what"`
	Planned string `json:"planned"`
	Kernel  string `json:"kernel"`
	Agrees  bool   `json:"agrees"`
}

// compare holds the kernel's word on a running agent against its plan. What the
// kernel does not tell (it shows no Landlock domain) is not in the list.
func compare(pl *plan.Plan, k *posture.Process) []check {
	yes := func(what, planned, kernel string, agrees bool) check { return check{what, planned, kernel, agrees} }
	checks := []check{
		yes("no_new_privs", "yes", yesNo(k.NoNewPrivileges), k.NoNewPrivileges),
		yes("seccomp", "filter", seccompMode(k.Seccomp), k.Seccomp == 2),
		yes("seccomp filters", "2 or more", count(k.SeccompFilters), k.SeccompFilters >= 2 || k.SeccompFilters < 0),
	}
	for _, set := range []struct {
		name string
		caps []string
	}{
		{"effective", k.Effective}, {"permitted", k.Permitted}, {"inheritable", k.Inheritable},
		{"bounding", k.Bounding}, {"ambient", k.Ambient},
	} {
		checks = append(checks, yes("capabilities, "+set.name, atMost(pl.Process.Capabilities),
			orNone(set.caps), within(set.caps, pl.Process.Capabilities)))
	}
	// In a user namespace of its own the process has other numbers here.
	if k.Shares("user") {
		checks = append(checks,
			yes("user", fmt.Sprint(pl.Process.UID), fmt.Sprint(k.UID), k.UID == pl.Process.UID),
			yes("group", fmt.Sprint(pl.Process.GID), fmt.Sprint(k.GID), k.GID == pl.Process.GID))
	}
	own := !k.Shares("mnt")
	checks = append(checks, yes("mount namespace of its own", "yes", yesNo(own), own))
	if pl.Network.Fence != plan.FenceAbsent {
		own := !k.Shares("net")
		checks = append(checks, yes("network namespace not the host's", "yes", yesNo(own), own))
	}
	return checks
}

// disagreements counts the checks that failed.
func disagreements(checks []check) int {
	n := 0
	for _, c := range checks {
		if !c.Agrees {
			n++
		}
	}
	return n
}

func within(have, most []string) bool {
	return !slices.ContainsFunc(have, func(c string) bool { return !slices.Contains(most, c) })
}

func atMost(caps []string) string {
	if len(caps) == 0 {
		return "none"
	}
	return "at most " + join(caps)
}

func seccompMode(mode int) string {
	switch mode {
	case 0:
		return "off"
	case 1:
		return "strict"
	case 2:
		return "filter"
	}
	return fmt.Sprint(mode)
}

func count(n int) string {
	if n < 0 {
		return "the kernel does not say"
	}
	return fmt.Sprint(n)
}
