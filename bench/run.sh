#!/usr/bin/env bash
# `make bench`: see bench/main.go. Stock runc comes from where the conformance
# tests build it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
stock=$(integration/conformance/prepare.sh quick)/runc/runc
exec go run ./bench -runc "$stock" "$@"
