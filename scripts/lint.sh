#!/usr/bin/env bash
# Builds golangci-lint once into the cache (minutes), and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
version=v2.5.0
if ! lint=$(golangci_lint); then
  echo "lint: building golangci-lint $version into $NEMOCLAW_CACHE/bin"
  GOBIN="$NEMOCLAW_CACHE/bin" go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
  lint="$NEMOCLAW_CACHE/bin/golangci-lint"
fi
exec "$lint" run ./...
