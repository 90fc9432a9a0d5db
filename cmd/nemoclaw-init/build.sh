#!/bin/sh
# build.sh OUT: build nemoclaw-init. CC chooses the compiler; the sources know
# x86_64 and aarch64 (CC=aarch64-linux-gnu-gcc).
set -eu
dir=$(cd "$(dirname "$0")" && pwd)
# No libc, no relocations; no stack protector, because there is no TLS to keep
# its canary in. The loops must not become calls of a memcpy that is not there.
exec "${CC:-cc}" -Os -Wall -Wextra -Werror -std=gnu11 -ffreestanding -nostdlib -static \
	-fno-stack-protector -fno-pie -no-pie -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns \
	-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -s \
	-o "$1" "$dir/init.c"
