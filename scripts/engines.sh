#!/usr/bin/env bash
# Builds, once, the newer engine that tests run beside Debian's: a Docker Engine
# of 29 a containerd of 2.4 and the runc that timings compare with, from Go modules, into the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
moby=v2.0.0-beta.24
containerd=v2.4.2
runc=v1.5.2 # Debian's 1.1 knows no time namespace, which the new engine asks for
dir="$NEMOCLAW_CACHE/dockerd-new"
want="2 moby $moby containerd $containerd runc $runc"
if [ "$(cat "$dir/version" 2>/dev/null)" = "$want" ]; then exit 0; fi
echo "engines: building dockerd $moby and containerd $containerd into $dir (minutes, once)"
mkdir -p "$dir/bin"
cd "$dir"
GOBIN="$dir/bin" go install -trimpath "github.com/moby/moby/v2/cmd/dockerd@$moby" "github.com/moby/moby/v2/cmd/docker-proxy@$moby"
GOBIN="$dir/bin" go install -trimpath \
  "github.com/containerd/containerd/v2/cmd/containerd@$containerd" \
  "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@$containerd"
CGO_ENABLED=1 GOBIN="$dir/bin" go install -trimpath -tags seccomp -ldflags '-X main.version='"${runc#v}" \
  "github.com/opencontainers/runc@$runc"
echo "$want" >"$dir/version"
