package broker_test

import (
	"testing"

	"github.com/nemoclaw/nemoclaw/enforce/seccomp/compile"
)

// programs gives the filters of supervisor and broker, as the runtime does.
func programs(t testing.TB) (supervisor, broker []byte) {
	supervisor, err := compile.Supervisor()
	check(t, err)
	broker, err = compile.Broker()
	check(t, err)
	return supervisor, broker
}
