#!/usr/bin/env bash
# The quickstart's ten lines. What is said to be enforced comes from the plan
# and from the audit log of this container, not from this script.
#
#   quickstart-report.sh ID FACTS nemoclaw [--config FILE]
#
# FACTS is a directory with what was seen: where version health ok no unknown
# write status, one file each.
set -euo pipefail
id=$1 facts=$2
shift 2
nemoclaw=("$@")

fact() { cat "$facts/$1"; }
line() { printf '%-9s %s\n' "$1" "$2"; }
first() { head -1 | cut -c1-160; }

plan=$("${nemoclaw[@]}" inspect "$id" --json)
log=$("${nemoclaw[@]}" audit log --sandbox "$id" --json)

# ask FILTER: one value out of the plan; event FILTER: out of the last matching record.
ask() { jq -r "$1" <<<"$plan"; }
event() { jq -c "select($1) | {seq, verdict, reason, rule, at, host, method, path, binary} | with_entries(select(.value != null and .value != \"\"))" <<<"$log" | tail -1; }
status() { sed -n "s/^$1:[[:space:]]*//p" "$facts/status" | cut -f1; }

line OpenClaw "$(fact version | first), on $(fact where)"
line gateway "http://127.0.0.1:18789/healthz answers $(fact health)"
line files "$(ask '[.plan // .][0] | "Landlock ABI \(.filesystem.landlock_abi): \([.filesystem.rules[] | select(.access == "read_only")] | length) paths to read, \([.filesystem.rules[] | select(.access == "read_write")] | length) to write (\([.filesystem.rules[] | select(.access == "read_write") | .path] | join(" "))), nothing else"')"
line process "uid $(status Uid), no_new_privs $(status NoNewPrivs), seccomp programs $(status Seccomp_filters), capabilities $(status CapEff)"
line refused "writing /usr/local/bin/node: $(fact write | first | sed 's/.*: //') ($(ask '[.plan // .][0] | .filesystem.rules[] | select(.path == "/usr") | "read-only by \(.from.at)"'))"
line refused "asking for example.org: $(fact unknown | first | sed 's/^curl: //') ($(event '.kind == "dns" and .host == "example.org"' | jq -r '.reason // "no record"'))"
line allowed "GET https://docs.openclaw.ai/ is answered with $(tail -1 "$facts/ok")"
line "  audit" "$(event '.kind == "request" and .verdict == "allow" and .host == "docs.openclaw.ai"')"
line refused "DELETE https://docs.openclaw.ai/page is answered with $(tail -1 "$facts/no") $(head -n -1 "$facts/no" | jq -c '{error, reason, rule}' 2>/dev/null)"
line "  audit" "$(event '.kind == "request" and .verdict == "deny" and .host == "docs.openclaw.ai"')"
