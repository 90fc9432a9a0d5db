// Package seccomp holds the system call filters of the three kinds of process
// that nemoclaw runs, as data with a reason for each rule, and the one call
// that puts a compiled filter in force (seccomp(2)).
//
// The filters are of our own beside the engine's: the kernel runs every filter
// of a process and the strictest answer counts, so the engine's profile stays
// as it was given and cannot be widened by ours (architecture.md, decision 10).
//
// Package compile turns the data into programs.
package seccomp
