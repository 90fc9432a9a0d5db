// Package policy is the policy document of an agent's container: its strict
// decoding with positions, its validation, its intersection with an operator's
// ceiling, and the one decision function that everything else asks.
//
// The package is pure. It opens no file, no socket and reads no clock: the same
// document and the same request always give the same [Decision]. The proxy
// (egress), the command line (explain, prove, diff) and the tests share
// [Matcher.Decide], so that what is explained is what is enforced.
//
// The way of a document:
//
//	bytes ── Parse ──▶ Document ── Narrow(ceiling) ──▶ Document ── Compile ──▶ Matcher ── Decide(Request) ──▶ Decision
//
// The format is the one that users of OpenShell and NemoClaw write; our own
// additions live under the top-level key "nemoclaw". Whatever no rule allows is
// denied: the zero values of [Verdict], [NameVerdict] and [Treatment] are the
// strictest.
package policy
