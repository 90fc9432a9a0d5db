package landlock

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestHandledGrows(t *testing.T) {
	if got := Handled(0); got != 0 {
		t.Errorf("Handled(0) = %#x, want 0", got)
	}
	if got := Handled(-1); got != 0 {
		t.Errorf("Handled(-1) = %#x, want 0", got)
	}
	for abi := 1; abi < MaxABI; abi++ {
		if lost := Handled(abi) &^ Handled(abi+1); lost != 0 {
			t.Errorf("ABI %d has lost %#x of ABI %d", abi+1, lost, abi)
		}
	}
	if Handled(MaxABI+5) != Handled(MaxABI) {
		t.Errorf("an ABI newer than this package knows is not taken as the newest known")
	}
}

func TestRights(t *testing.T) {
	const (
		exec     = unix.LANDLOCK_ACCESS_FS_EXECUTE
		read     = unix.LANDLOCK_ACCESS_FS_READ_FILE
		list     = unix.LANDLOCK_ACCESS_FS_READ_DIR
		write    = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
		truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE
		refer    = unix.LANDLOCK_ACCESS_FS_REFER
		ioctl    = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
		resolve  = unix.LANDLOCK_ACCESS_FS_RESOLVE_UNIX
		nodes    = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
		changes  = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
			unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
			unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
			unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	)
	tests := []struct {
		name                 string
		abi                  int
		write, isDir, device bool
		want                 Access
	}{
		{"file read-only", 7, false, false, false, exec | read},
		{"directory read-only", 7, false, true, false, exec | read | list},
		{"file read-write", 7, true, false, false, exec | read | write | truncate},
		{"directory read-write", 7, true, true, false, exec | read | list | write | truncate | refer | changes},
		{"device", 7, true, false, true, exec | read | write | truncate | ioctl},
		{"device, before ioctl is governed", 4, true, false, true, exec | read | write | truncate},
		{"directory of devices", 5, true, true, true, exec | read | list | write | truncate | refer | changes | ioctl},
		{"first ABI", 1, true, true, true, exec | read | list | write | changes},
		{"second ABI", 2, true, true, false, exec | read | list | write | changes | refer},
		{"Unix sockets by path", 9, true, false, false, exec | read | write | truncate | resolve},
		{"no Landlock", 0, true, true, true, 0},
	}
	for _, tt := range tests {
		got := Rights(tt.abi, tt.write, tt.isDir, tt.device)
		if got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
		if got&nodes != 0 {
			t.Errorf("%s: grants the making of device nodes", tt.name)
		}
		if !tt.isDir && got&^fileRights != 0 {
			t.Errorf("%s: the kernel refuses %#x on a file", tt.name, got&^fileRights)
		}
	}
}
