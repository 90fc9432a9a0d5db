// Package kerneltest is for tests that ask the kernel: skips that name a
// reason, tests that do the irreversible in a child, namespaces of their own,
// and a check for leaked descriptors.
package kerneltest
