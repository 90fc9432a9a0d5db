#!/usr/bin/env bash
# Formatting, vet, layering, shell syntax, and golangci-lint where it is cached.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh

bad=$(git ls-files '*.go' | xargs -r gofmt -l)
[ -z "$bad" ] || { printf 'check: not gofmt-ed:\n%s\n' "$bad" >&2; exit 1; }
go vet ./...
go vet -tags 'seccomp netgo osusergo runc_nocriu urfave_cli_no_docs' ./...
git ls-files '*.sh' .ci/run | while read -r f; do bash -n "$f"; done
if [ -d internal/layering ]; then go test -count=1 ./internal/layering >/dev/null || go test -count=1 ./internal/layering; fi
if lint=$(golangci_lint); then
  "$lint" run ./...
else
  echo "check: golangci-lint is not here (\`scripts/lint.sh\` builds it once); skipped"
fi
echo "check: ok"
