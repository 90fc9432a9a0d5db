#!/usr/bin/env bash
# `make conformance`: runc's own bats suite and runtime-tools' validation, with
# stock runc and with ours (--no-policy), on this machine. What counts is the
# difference. Tests that differ are run three times more with both; one that has
# an outcome in common then is unsteady, not different.
#
#   run.sh            everything; stock's results are kept per kernel and machine
#   run.sh --quick    a subset in two minutes
#   run.sh --fresh    do not believe stock's kept results
#   run.sh NAME…      these bats files and validation/PROGRAMs alone
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
[ "$(id -u)" = 0 ] || { echo "conformance: needs root" >&2; exit 1; }

# Tests that say who they are about, not what it does; each with its reason.
exceptions=$here/exceptions.txt

quick='create delete exec kill state start_hello start_detached ps list version help rlimits cwd hooks events'
# checkpoint is refused by us; sshfs cannot be had. linux_ns_itype hangs with
# any runtime.
left_out=' checkpoint mounts_sshfs validation/linux_ns_itype '

mode='' fresh='' names=()
for arg in "$@"; do
  case $arg in
    --quick) mode=quick ;;
    --fresh) fresh=yes ;;
    *) names+=("$arg") ;;
  esac
done

dir=$("$here/prepare.sh" $mode)
suite=$dir/runc/tests/integration
tools=$dir/runtime-tools
stock=$dir/runc/runc
out=${CONFORMANCE_OUT:-$PWD/.cache/conformance}
rm -rf "$out"
mkdir -p "$out/bin" "$out/real"
export TMPDIR=${TMPDIR:-/tmp}

# RUNC can hold no flag, so ours is a script. Both bear runc's name, because the
# suite looks for that in the help and among open files.
ours=$out/bin/runc
cp bin/nemoclaw-runtime "$out/real/runc"
printf '#!/bin/bash\nexec -a runc %q --no-policy "$@"\n' "$out/real/runc" >"$ours"
chmod +x "$ours"

everything() {
  if [ "$mode" = quick ]; then printf '%s\n' $quick; return; fi
  (cd "$suite" && printf '%s\n' *.bats | sed 's/\.bats$//')
  (cd "$tools" && printf '%s\n' validation/*/*.t | sed -E 's|/[^/]*$||')
}
if [ ${#names[@]} = 0 ]; then
  mapfile -t names < <(everything | while read -r n; do
    [[ $left_out == *" $n "* ]] || echo "$n"
  done)
fi

# one RUNTIME NAME [=TEST]
one() {
  case $2 in
    validation/*) "$here/validation.sh" "$1" "$tools" "${2#validation/}" ;;
    *) "$here/bats.sh" "$1" "$suite" ${3:+"$3"} "$2" ;;
  esac
}

# Stock's results, kept: they depend on kernel and cgroups alone.
kept=$dir/stock-$(uname -r)-$(stat -fc %T /sys/fs/cgroup)
mkdir -p "$kept"
stock_results() {
  local file=$kept/${1//\//_}
  if [ -n "$fresh" ] || [ ! -e "$file" ]; then
    CONFORMANCE_LOG=$out/stock.log one "$stock" "$1" >"$file.new"
    mv "$file.new" "$file"
  fi
  cat "$file"
}

# outcomes RUNTIME NAME TEST: of three more runs, a line each.
outcomes() {
  local i
  for i in 1 2 3; do
    CONFORMANCE_LOG=$out/again.log one "$1" "$2" "=$3" | awk -F'\t' -v t="$3" '$2 == t { print $3 }'
  done | sort -u
}

for name in "${names[@]}"; do
  echo "conformance: $name" >&2
  stock_results "$name" >>"$out/stock.tsv"
  CONFORMANCE_LOG=$out/ours.log one "$ours" "$name" >>"$out/ours.tsv"
done

differences=0
while IFS=$'\t' read -r name test was is; do
  if grep -qxF "$name: $test" <(grep -v '^#' "$exceptions"); then
    echo "exception: $name: $test: stock $was, ours $is"
    continue
  fi
  if [ -n "$(comm -12 <(outcomes "$stock" "$name" "$test") <(outcomes "$ours" "$name" "$test"))" ]; then
    echo "unsteady:  $name: $test"
    continue
  fi
  differences=$((differences + 1))
  echo "DIFFERENT: $name: $test: stock $was, ours $is"
done < <(awk -F'\t' -v OFS='\t' '
  NR == FNR { stock[$1 FS $2] = $3; next }
  { k = $1 FS $2; seen[k] = 1; if (!(k in stock)) print $1, $2, "none", $3
    else if (stock[k] != $3) print $1, $2, stock[k], $3 }
  END { for (k in stock) if (!(k in seen)) { split(k, p, FS); print p[1], p[2], stock[k], "none" } }
' "$out/stock.tsv" "$out/ours.tsv" | sort)

# The suite leaves this behind with any runtime.
find /sys/fs/cgroup -depth -type d -path "*/runc-cgroups-integration-test*" -exec rmdir {} + 2>/dev/null || true

awk -F'\t' '{ n[$3]++ } END { printf "ours: %d ok, %d skipped, %d not ok (logs: '"$out"')\n", n["ok"], n["skip"], n["not ok"] }' "$out/ours.tsv"
echo "$differences differences to stock runc"
[ "$differences" = 0 ]
