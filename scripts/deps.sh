#!/usr/bin/env bash
# Installs what building, testing and the quickstart need from Debian 12.
# Idempotent, and quick when everything is there: one dpkg query, no network.
set -euo pipefail

# One package a line, with the reason. Add yours here.
packages=(
  gcc               # nemoclaw-init, and cgo for nemoclaw-runtime
  libc6-dev         # static linking of the runtime
  libseccomp-dev    # the seccomp programs are compiled by libseccomp
  pkg-config        # finds libseccomp for cgo
  make
  git
  ca-certificates
  docker.io         # the engine of 20.10 for tests, and the quickstart's when there is none
  containerd
  runc              # what timings and conformance compare with
  iptables          # the engine's own rules
  iproute2          # veth pairs and namespaces of the tests' internet
  nftables          # `nft list ruleset` for the golden tests of the fence
  tcpdump
  dnsutils
  busybox-static    # the test images
  curl
  netcat-openbsd
  jq                # runc's bats suite
  gawk              # runc's bats suite
  bats              # runc's bats suite
  strace
  openssl           # keys for the tests of signed policies
  xz-utils
  debootstrap       # the root file system of the OpenClaw image
)

say() { printf 'deps: %s\n' "$*"; }
die() { printf 'deps: %s\n' "$*" >&2; exit 1; }

missing() {
  local p
  for p in "${packages[@]}"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || echo "$p"
  done
}

# A machine that has Docker's own packages keeps them: docker.io would remove them.
drop_engine_packages() {
  dpkg-query -W -f='${db:Status-Status}\n' docker-ce 2>/dev/null | grep -qx installed || return 0
  local p kept=()
  for p in "${packages[@]}"; do
    case $p in docker.io | containerd | runc) ;; *) kept+=("$p") ;; esac
  done
  packages=("${kept[@]}")
}

check_go() {
  export PATH="$PATH:/usr/local/go/bin"
  command -v go >/dev/null || die "Go 1.26 or later is needed; none is on PATH or in /usr/local/go"
  local have
  have=$(go env GOVERSION) && have=${have#go}
  [ "$(printf '%s\n1.26\n' "$have" | sort -V | head -1)" = 1.26 ] ||
    die "Go 1.26 or later is needed; $(command -v go) is $have"
}

command -v dpkg-query >/dev/null || die "this installs Debian packages; on another system install: ${packages[*]}"
drop_engine_packages
# The image's builder needs an npm client; any that is there will do.
command -v npm >/dev/null || packages+=(npm)
mapfile -t need < <(missing)
if [ ${#need[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || die "to be installed as root: ${need[*]}"
  say "installing ${need[*]}"
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  log=$(mktemp)
  { apt-get update -q && apt-get install -q -y --no-install-recommends "${need[@]}"; } >"$log" 2>&1 ||
    { cat "$log" >&2; die "apt-get could not install them"; }
  rm -f "$log"
fi
check_go
say "all there"
