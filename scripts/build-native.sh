#!/bin/sh
# Builds native/build/Release/havrrp.node with the node-gyp that npm brings. Needs a C compiler, make and python3;
# no network: the headers are those beside node, or where npm's `nodedir` says.
set -eu
cd "$(dirname "$0")/../native"

node_gyp=
for modules in "$(npm root -g 2>/dev/null)" "$(dirname "$(readlink -f "$(command -v npm)")")/../.."; do
  candidate="$modules/npm/node_modules/node-gyp/bin/node-gyp.js"
  if [ -f "$candidate" ]; then
    node_gyp=$candidate
    break
  fi
done
# Debian packages it apart from npm.
[ -n "$node_gyp" ] || node_gyp=$(readlink -f "$(command -v node-gyp)") || true
if [ ! -f "$node_gyp" ]; then
  echo "build-native: found no node-gyp, neither inside npm ($(command -v npm)) nor in PATH: install npm 9 or later" >&2
  exit 1
fi

# The official tarball and the NodeSource packages carry the headers; node-gyp would download them all the same.
prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
nodedir=
if [ -f "$prefix/include/node/node_api.h" ]; then
  nodedir="--nodedir=$prefix"
fi

digest=$(sh ../scripts/native-digest.sh)
node "$node_gyp" rebuild --loglevel=warn $nodedir -- "-Dsource_digest=$digest"
