#!/usr/bin/env bash
# bats.sh RUNTIME SUITE [FILTER] FILE...: runs files of runc's bats suite with
# one runtime, and prints a line for each test: file, name, status (ok, skip or
# not ok), parted by tabs. FILTER, if it begins with "=", is the exact name of
# the one test to run. What the tests print goes to $CONFORMANCE_LOG.
set -euo pipefail
runtime=$1 suite=$2
shift 2
filter=()
if [ "${1:0:1}" = = ]; then
  # bats takes a regular expression.
  filter=(-f "^$(sed 's/[][\.*^$+?(){}|/]/\\&/g' <<<"${1#=}")\$")
  shift
fi
log=${CONFORMANCE_LOG:-/dev/null}

# The suite wants a terminal, and a standard input that does not end: script(1)
# would pass the end on, and tests of `run` would see it.
fifo=$(mktemp -u)
mkfifo "$fifo"
exec 8<>"$fifo"
rm "$fifo"

for file in "$@"; do
  # The limit is for the file: bats's own, for a test, is a child that a bare
  # `wait` in a test waits for too.
  cmd=$(printf '%q ' env RUNC="$runtime" timeout --foreground 900 \
    bats --tap "${filter[@]}" "$suite/$file.bats")
  # A test that fails is a result, no error of ours.
  { script -qec "$cmd" /dev/null <&8 || true; } | tr -d '\r' | tee -a "$log" | sed -nE \
    -e 's/^ok [0-9]+ (.*) # skip.*/\1\tskip/p;t' \
    -e 's/^ok [0-9]+ (.*)$/\1\tok/p;t' \
    -e 's/^not ok [0-9]+ (.*)$/\1\tnot ok/p' |
    sed -E "s/ in [0-9]+(ms|sec)\t/\t/; s/ # timeout after [0-9]+s\t/\t/; s|^|$file\t|"
done
