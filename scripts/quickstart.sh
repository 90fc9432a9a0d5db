#!/usr/bin/env bash
# From nothing to the real OpenClaw under a policy, and a screen that shows what
# was enforced and what was refused.
#
#   scripts/quickstart.sh        do it; a second run takes seconds
#   scripts/quickstart.sh stop   end the container, and the private engine if one was started
#
# It uses the machine's Docker when that runs and the machine has internet;
# otherwise a private Docker in namespaces of its own, whose internet is a
# stand-in on this machine. The screen says which.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
. scripts/env.sh
started=$SECONDS

name=openclaw-quickstart
port=18789
allowed=docs.openclaw.ai
denied=example.org
quick=/var/lib/nemoclaw-quickstart
runtime=/usr/local/bin/nemoclaw-runtime
config=() # for nemoclaw, where the engine is private

step() { printf '\033[2m%3ds  %s\033[0m\n' $((SECONDS - started)) "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

private_running() { [ -f "$quick/ready" ] && . "$quick/ready" && kill -0 "$pid" 2>/dev/null; }

stop() {
  if private_running; then
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    echo "quickstart: the private engine has stopped; its images stay in $quick"
  elif docker rm -f "$name" >/dev/null 2>&1; then
    echo "quickstart: the container is gone"
  fi
}

has_internet() { curl -fsS -m 4 -o /dev/null "https://$allowed/" 2>/dev/null; }

# choose_engine sets DOCKER_HOST and config for a private engine, or nothing.
choose_engine() {
  if ! private_running && docker info >/dev/null 2>&1 && has_internet; then
    where="the machine's Docker, and the internet"
    local runtimes
    runtimes=$(docker info --format '{{range $k, $v := .Runtimes}}{{$k}} {{end}}')
    case " $runtimes" in
      *" nemoclaw "*) ;;
      *) step "registering the runtime: nemoclaw install docker"; nemoclaw install docker ;;
    esac
    return
  fi
  where="a private Docker in namespaces of its own; the internet is a stand-in on this machine"
  if ! private_running; then
    step "no Docker with internet on this machine: starting a private one with a stand-in internet"
    mkdir -p "$quick"
    rm -f "$quick/ready"
    go build -o .cache/quickworld ./integration/quickworld
    setsid .cache/quickworld -dir "$quick" -runtime "$runtime" -forward "127.0.0.1:$port" \
      -name "$allowed,clawhub.ai,api.anthropic.com,api.openai.com" >"$quick/log" 2>&1 </dev/null &
    local engine=$!
    engine_job=$engine
    until [ -f "$quick/ready" ]; do
      kill -0 $engine 2>/dev/null || { cat "$quick/log" >&2; die "the private engine did not start"; }
      sleep 0.1
    done
    private_running || die "the private engine did not stay"
  fi
  # shellcheck disable=SC2154 # sock and config come from the ready file
  export DOCKER_HOST="unix://$sock"
  config=(--config "$config_file")
}

case "${1:-}" in
  stop) stop; exit 0 ;;
  "") ;;
  *) die "unknown argument \"$1\"; there is \"stop\"" ;;
esac
[ "$(id -u)" = 0 ] || die "installing a container runtime needs root: sudo make quickstart"

step "dependencies"
scripts/deps.sh >/dev/null
step "build and install"
make --no-print-directory -s install >/dev/null
choose_engine
scripts/openclaw-image.sh | while read -r line; do step "$line"; done

step "docker run --runtime=nemoclaw -p 127.0.0.1:$port:$port openclaw"
docker rm -f "$name" >/dev/null 2>&1 || true
id=$(docker run -d --name "$name" --runtime=nemoclaw -p "127.0.0.1:$port:$port" openclaw)
health=
for _ in $(seq 600); do
  health=$(curl -fs -m 2 "http://127.0.0.1:$port/healthz" 2>/dev/null) && break
  [ "$(docker inspect --format '{{.State.Running}}' "$name")" = true ] ||
    { docker logs "$name" >&2; die "OpenClaw has ended"; }
  sleep 0.1
done
[ -n "$health" ] || { docker logs "$name" >&2; die "the gateway does not answer on 127.0.0.1:$port"; }

inside() { docker exec "$name" "$@" 2>&1 || true; }
ask() { inside curl -sS -m 10 --noproxy '*' -w '\n%{http_code}' "$@"; }
facts=$(mktemp -d)
trap 'rm -rf "$facts"' EXIT
echo "$where" >"$facts/where"
echo "$health" >"$facts/health"
ask "https://$allowed/" >"$facts/ok" &
ask -X DELETE "https://$allowed/page" >"$facts/no" &
inside curl -sS -m 10 --noproxy '*' "https://$denied/" >"$facts/unknown" &
inside sh -c 'echo x >/usr/local/bin/node' >"$facts/write" &
inside openclaw --version >"$facts/version" &
inside cat /proc/self/status >"$facts/status" &
wait $(jobs -p | grep -vx "${engine_job:-0}")
echo
scripts/quickstart-report.sh "$id" "$facts" nemoclaw "${config[@]}"
echo
step "OpenClaw goes on running at http://127.0.0.1:$port/ (its token: docker exec $name cat .openclaw/gateway-token); scripts/quickstart.sh stop ends it"
