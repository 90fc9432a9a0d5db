// Package landlock is the door to the kernel's Landlock (landlock(7)).
//
// It knows two things: which access rights each ABI of the kernel has, as a
// table, and how to fill a ruleset. It decides nothing: which path gets which
// rights is in the plan, and a right that the plan names and the kernel refuses
// is an error here, never a weaker ruleset (architecture.md, decision 5).
//
// # How a container gets its domain
//
// The runtime makes an empty ruleset with NewRuleset and hands one copy of its
// descriptor to nemoclaw-init inside the container. After pivot_root it opens
// the plan's paths from outside and adds them to its own copy with AddPath: a
// ruleset is one kernel object, however many descriptors name it. nemoclaw-init
// then calls landlock_restrict_self on its copy. Rules that are added after that
// call do not reach a domain that already exists.
//
// # What Landlock does not do
//
// Rights add up along a path: a rule deeper down takes nothing away, so a
// read-only directory below a read-write one has to be a read-only mount.
// Descriptors that are open at the restriction keep their rights. chdir, stat,
// chmod, chown, utime, xattrs, flock and readlink are not governed by any ABI
// known here.
package landlock
