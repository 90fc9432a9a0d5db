#!/usr/bin/env bash
# `make bench`: the figures of bench/, as ratios against runc in the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
if [ -x bench/run.sh ]; then exec bench/run.sh "$@"; fi
exec go run ./bench "$@"
