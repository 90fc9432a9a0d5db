package broker_test

import "testing"

// programs gives the filters of supervisor and broker.
func programs(*testing.T) (supervisor, broker []byte) { return allowAll(), allowAll() }
