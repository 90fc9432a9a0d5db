# Sourced by the scripts: where Go is, where things that take long are kept.
# shellcheck shell=bash
export PATH="$PATH:/usr/local/go/bin"
export GOFLAGS="${GOFLAGS:--buildvcs=false}"
export GOTOOLCHAIN=local

# Built engines and images, kept between runs. Root's are below /var/cache.
if [ -z "${NEMOCLAW_CACHE:-}" ]; then
  if [ "$(id -u)" = 0 ]; then NEMOCLAW_CACHE=/var/cache/nemoclaw-test
  else NEMOCLAW_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/nemoclaw-test"; fi
fi
export NEMOCLAW_CACHE

# golangci_lint prints the path of a golangci-lint, or returns 1.
golangci_lint() {
  command -v golangci-lint && return 0
  [ -x "$NEMOCLAW_CACHE/bin/golangci-lint" ] && echo "$NEMOCLAW_CACHE/bin/golangci-lint"
}
