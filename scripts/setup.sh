#!/bin/sh
# Makes this machine ready, by installing what is missing: packages of the system (Debian, as root), npm packages, and
# raw-socket, which is compiled for the test bench alone.
# setup.sh build | demo | test | bench: for that purpose; without one, for all of them.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-test}

say() { echo "setup: $*" >&2; }

node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || {
  say "this is Node $(node --version): install Node 20 or later"
  exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

packages=
# need COMMAND PACKAGE: notes the package where the command is not there.
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need_compiler() { need gcc gcc && need g++ g++ && need make make && need python3 python3; }

PATH=$PATH:/usr/sbin:/sbin
sh scripts/native-current.sh || need_compiler
raw_socket=node_modules/raw-socket/build/Release/raw.node
case $purpose in
build) ;;
demo) need ip iproute2 ;;
bench) need ip iproute2 && need tcpdump tcpdump && need keepalived keepalived ;;
test)
  [ -f $raw_socket ] || need_compiler
  # Without root, what needs these is not run (scripts/test.sh says so).
  if is_root; then
    need ip iproute2 && need sysctl procps && need nft nftables && need conntrackd conntrackd && need tcpdump tcpdump && need tshark tshark && need keepalived keepalived
  fi
  ;;
*)
  say "unknown purpose $purpose: use build, demo, test or bench"
  exit 2
  ;;
esac

if [ -n "$packages" ]; then
  packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')
  if ! is_root || ! command -v apt-get >/dev/null 2>&1; then
    say "missing on this machine: $packages: install them (Debian: sudo apt-get install $packages)"
    exit 1
  fi
  say "installing $packages"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  # shellcheck disable=SC2086 # a list of words
  apt-get install -qq -y --no-install-recommends $packages >&2
fi

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say 'installing npm packages'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi

if [ "$purpose" = test ] && [ ! -f $raw_socket ]; then
  say 'compiling raw-socket for the test bench'
  # The headers beside node, where there are any: node-gyp would download them.
  prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
  if [ -f "$prefix/include/node/node.h" ]; then export npm_config_nodedir="$prefix"; fi
  # npm 12 runs no install scripts unless told to; this one is all that is rebuilt.
  npm rebuild raw-socket --dangerously-allow-all-scripts --loglevel=error >&2
fi
