#!/usr/bin/env bash
# `make test`: check, then every test of the tree as root, with private engines.
# It prints failures in full, and at the end every skip with its reason.
# NEMOCLAW_TEST=root tells the tests that root and engines were asked for: one
# that misses either fails instead of skipping.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
started=$SECONDS
[ "$(id -u)" = 0 ] || { echo "test: the engine and kernel tests need root; for the pure ones: go test ./..." >&2; exit 1; }
scripts/deps.sh
make --no-print-directory build
export NEMOCLAW_TEST=root
status=0
scripts/check.sh || status=1 # and the tests run all the same
scripts/engines.sh
# Integration last and alone: its timings and its before/after comparisons
# should not share the machine with a compiler.
mapfile -t pkgs < <(go list ./... | grep -v '/integration')
mapfile -t integ < <(go list ./integration/... 2>/dev/null || true)
{
  [ ${#pkgs[@]} = 0 ] || go test -json -tags seccomp -count=1 -timeout 10m "${pkgs[@]}" || true
  [ ${#integ[@]} = 0 ] || go test -json -tags seccomp -count=1 -p 1 -timeout 18m "${integ[@]}" || true
} | go run ./integration/testreport || status=1
printf 'test: %s in %d s\n' "$([ $status = 0 ] && echo passed || echo FAILED)" $((SECONDS - started))
exit $status
