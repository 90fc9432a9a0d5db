// Package doctor finds out what this host can enforce, and says it in plain
// words. It asks the kernel by trying, where trying leaves nothing behind.
package doctor

// Level says how bad a finding is.
type Level string

// The levels. Fail means that containers will be refused or not held as their
// policy says; warn, that something is weaker or more open than it need be.
const (
	OK   Level = "ok"
	Note Level = "note" // nothing to do
	Warn Level = "warn"
	Fail Level = "fail"
)

// Finding is one thing that was looked at.
type Finding struct {
	Area  string `json:"area"` // kernel, host, programs, engine, sandboxes
	Name  string `json:"name"`
	Level Level  `json:"level"`
	What  string `json:"what"`          // what was found, and what follows from it
	Fix   string `json:"fix,omitempty"` // what to do about it
}

// Healthy reports whether no finding is a Fail.
func Healthy(all []Finding) bool {
	for _, f := range all {
		if f.Level == Fail {
			return false
		}
	}
	return true
}
