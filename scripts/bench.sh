#!/bin/sh
# Measures havrrp and keepalived on the same network in the same run. `npm run bench -- --help` lists what.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo 'bench: it makes network namespaces, which needs root: sudo npm run bench' >&2
  exit 1
fi
sh scripts/setup.sh bench
sh scripts/build.sh
exec node dist/test/benchmark/main.js "$@"
