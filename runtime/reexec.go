package runtime

import (
	"os"

	// Device rules of a cgroup are a plug-in of the cgroups module; without it
	// every container with a device rule is refused.
	_ "github.com/opencontainers/cgroups/devices"
	"github.com/opencontainers/runc/libcontainer"
	// The C constructor that joins and makes namespaces, before Go has threads.
	_ "github.com/opencontainers/runc/libcontainer/nsenter"
)

// ReexecInit turns this process into the init of a container if libcontainer has
// started it as that ("init" as its first argument); otherwise it returns at
// once. When it takes over it never returns. Main calls it from the program's
// one init function: the namespaces are already those of the container, so
// nothing else of the program may run first.
func ReexecInit() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		libcontainer.Init()
	}
}
