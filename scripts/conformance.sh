#!/usr/bin/env bash
# `make conformance`: runc's own suite on both runtimes; the difference must be empty.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
if [ -x integration/conformance/run.sh ]; then exec integration/conformance/run.sh "$@"; fi
exec go run ./integration/conformance "$@"
