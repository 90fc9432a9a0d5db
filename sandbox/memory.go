package sandbox

import (
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// GiveBack hands memory that is not needed now back to the kernel: free heap,
// and the program's own pages, most of which served start-up alone. Those come
// back from the page cache when they are next touched, some 100 ns each. There
// are two processes of ours per sandbox, idle most of their life.
func GiveBack() {
	debug.FreeOSMemory()
	aux, err := unix.Auxv()
	if err != nil {
		return
	}
	for _, s := range readOnlySegments(aux) {
		// MADV_DONTNEED on a private file mapping that nobody has written to
		// only drops it from the page table (madvise(2)).
		_ = unix.Madvise(s, unix.MADV_DONTNEED)
	}
}

// quiet is how long after the last work memory is given back, at most.
const quiet = 5 * time.Second

// GiveBackWhenQuiet calls GiveBack whenever there has been work and there is no
// more. busy says whether there was any since it was asked last. It does not return.
func GiveBackWhenQuiet(busy func() bool) {
	was := true // start-up is work
	for range time.Tick(quiet) {
		now := busy()
		if was && !now {
			GiveBack()
		}
		was = now
	}
}

// Of the auxiliary vector and the program headers (getauxval(3), elf(5)).
const (
	auxHeaders, auxHeaderSize, auxHeaderCount = 3, 4, 5

	loadSegment    = 1
	headersSegment = 6
	writable       = 2
)

// programHeader is Elf64_Phdr.
type programHeader struct {
	kind, flags            uint32
	off, vaddr, paddr      uint64
	filesz, memsz, alignTo uint64
}

// readOnlySegments finds the mappings of this program that nobody can have
// written to, from the headers that the kernel says where they are.
func readOnlySegments(aux [][2]uintptr) [][]byte {
	var at, size, count uintptr
	for _, a := range aux {
		switch a[0] {
		case auxHeaders:
			at = a[1]
		case auxHeaderSize:
			size = a[1]
		case auxHeaderCount:
			count = a[1]
		}
	}
	if at == 0 || size != unsafe.Sizeof(programHeader{}) || count == 0 || count > 64 {
		return nil
	}
	headers := unsafe.Slice((*programHeader)(*(*unsafe.Pointer)(unsafe.Pointer(&at))), count)
	bias, known := uint64(0), false
	for _, h := range headers {
		if h.kind == headersSegment { // where the headers lie themselves
			bias, known = uint64(at)-h.vaddr, true
		}
	}
	if !known {
		return nil
	}
	page := uint64(unix.Getpagesize())
	var out [][]byte
	for _, h := range headers {
		from, to := (h.vaddr+bias+page-1)&^(page-1), (h.vaddr+bias+h.filesz)&^(page-1)
		if h.kind == loadSegment && h.flags&writable == 0 && from < to {
			start := uintptr(from)
			out = append(out, unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&start))), to-from))
		}
	}
	return out
}
