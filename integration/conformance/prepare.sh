#!/usr/bin/env bash
# Makes what the foreign test suites need, once, below $NEMOCLAW_CACHE: stock
# runc, its helpers and images, and the programs of runtime-tools. Both suites
# come as Go modules. Prints the directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

RUNC=v1.5.2
TOOLS=v0.9.0
dir=$NEMOCLAW_CACHE/conformance-runc-$RUNC
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9

# module NAME VERSION DIR: a writable copy of a module's files.
module() {
  local at
  at=$(cd "$dir" && go mod download -json "$1@$2" | jq -r .Dir)
  rm -rf "$3.new"
  cp -r "$at" "$3.new"
  chmod -R u+w "$3.new"
  mv "$3.new" "$3"
}

build_runc() {
  local src=$dir/runc
  [ -x "$src/runc" ] && return
  module github.com/opencontainers/runc "$RUNC" "$src"
  local tags='seccomp urfave_cli_no_docs' helper
  mkdir -p "$src/tests/cmd/_bin"
  for helper in recvtty sd-helper seccompagent fs-idmap pidfd-kill remap-rootfs key_label; do
    (cd "$src" && go build -tags "$tags" -o tests/cmd/_bin "./tests/cmd/$helper")
  done
  # bats refuses files that are not executable, and so does the module's zip.
  chmod +x "$src"/tests/integration/*.{bats,sh}
  # Built as ours is, so that timings compare like with like.
  (cd "$src" && CGO_ENABLED=1 go build -trimpath -tags "$tags netgo osusergo" \
    -ldflags '-s -w -X main.gitCommit=stock -linkmode external -extldflags -static' -o runc.new .)
  mv "$src/runc.new" "$src/runc"
}

# The suite wants two images by these names; any form that tar reads will do.
busybox_image() {
  local out=$dir/runc/tests/integration/testdata/busybox-amd64.tar.xz root applet
  [ -e "$out" ] && return
  root=$(mktemp -d)
  chmod 755 "$root"
  mkdir -p "$root"/{bin,sbin,dev,etc,home,root,tmp,usr/bin,usr/sbin,var}
  cp /bin/busybox "$root/bin/busybox"
  for applet in $(/bin/busybox --list-full); do
    mkdir -p "$root/$(dirname "$applet")"
    [ -e "$root/$applet" ] || ln "$root/bin/busybox" "$root/$applet"
  done
  # The suite calls /bin/true and its like by either directory.
  for applet in $(/bin/busybox --list); do
    [ -e "$root/bin/$applet" ] || ln "$root/bin/busybox" "$root/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  tar -C "$root" -cf "$out.new" .
  mv "$out.new" "$out"
  rm -rf "$root"
}

debian_image() {
  local out=$dir/runc/tests/integration/testdata/debian-amd64.tar.xz root
  [ -e "$out" ] && return
  root=$(mktemp -d)
  chmod 755 "$root"
  debootstrap --variant=minbase bookworm "$root" >"$dir/debootstrap.log" 2>&1 ||
    { tail -5 "$dir/debootstrap.log" >&2; exit 1; }
  rm -rf "$root"/{usr/share/{doc,locale,man},var/{cache,lib}/apt}
  tar -C "$root" -cf "$out.new" .
  mv "$out.new" "$out"
  rm -rf --one-file-system "$root"
}

# runtime-tools is older than modules: its dependencies are pinned here, to what
# it was written for.
build_tools() {
  local src=$dir/runtime-tools t
  [ -e "$src/built" ] && return
  module github.com/opencontainers/runtime-tools "$TOOLS" "$src"
  (
    cd "$src"
    go mod init github.com/opencontainers/runtime-tools
    go get github.com/opencontainers/runtime-spec@v1.0.2 github.com/satori/go.uuid@v1.1.0 \
      github.com/opencontainers/selinux@v1.2.2 github.com/urfave/cli@v1.22.17 github.com/blang/semver@v3.5.1
    go mod tidy
    # Its default seccomp profile is of 2018: without these calls today's runc
    # cannot start anything under it.
    sed -i '0,/"accept",$/s//"statx", "openat2", "close_range", "faccessat2", "fsopen", "fsconfig", "fsmount", "open_tree", "move_mount", "mount_setattr", "rseq", "clone3", "epoll_pwait2", "pidfd_open", "pidfd_send_signal",\n"accept",/' \
      generate/seccomp/seccomp_default.go
    CGO_ENABLED=0 go build -o runtimetest ./cmd/runtimetest
    for t in validation/*/; do
      t=$(basename "$t")
      [ "$t" = util ] || go build -o "validation/$t/$t.t" "./validation/$t"
    done
    touch built
  ) 2>"$dir/runtime-tools.log" || { tail -5 "$dir/runtime-tools.log" >&2; exit 1; }
}

build_runc >&2
busybox_image >&2
[ "${1:-}" = quick ] || debian_image >&2
[ "${1:-}" = quick ] || build_tools >&2
echo "$dir"
