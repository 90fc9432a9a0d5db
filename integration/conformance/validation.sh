#!/usr/bin/env bash
# validation.sh RUNTIME DIR PROGRAM...: runs programs of runtime-tools'
# validation with one runtime, and prints a line for each check: program, what
# was checked, status, parted by tabs. A check that is made several times bears
# its number.
set -euo pipefail
runtime=$1 dir=$2
shift 2
log=${CONFORMANCE_LOG:-/dev/null}
cd "$dir"
for program in "$@"; do
  # Ids and temporary directories are new each time.
  (RUNTIME=$runtime timeout 60 "validation/$program/$program.t" 2>&1 </dev/null || echo "not ok 0 - exit status $?") |
    tee -a "$log" | sed -nE \
    -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/ID/g; s|/tmp/ocitest[0-9]+|BUNDLE|g' \
    -e 's/^ok [0-9]+ - (.*) # SKIP.*/\1\tskip/pI;t' \
    -e 's/^ok [0-9]+ (- )?(.*)$/\2\tok/p;t' \
    -e 's/^not ok [0-9]+ (- )?(.*)$/\2\tnot ok/p' |
    awk -F'\t' -v OFS='\t' -v p="validation/$program" '{ print p, $1 " #" ++n[$1], $2 }'
done
