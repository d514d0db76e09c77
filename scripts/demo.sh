#!/bin/sh
# The demonstration: two firewalls, a client and a server on this machine, and what happens to them. Installs and builds
# what is missing first.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo 'demo: it makes network namespaces, which needs root: sudo npm run demo' >&2
  exit 1
fi
sh scripts/setup.sh demo
sh scripts/build.sh
exec node dist/test/demo/main.js "$@"
