#!/bin/sh
# Builds everything into dist/: the addon, where neither a built nor a prebuilt one fits these sources, and the TypeScript.
set -eu
cd "$(dirname "$0")/.."

sh scripts/setup.sh build
sh scripts/native-current.sh || sh scripts/build-native.sh
node_modules/.bin/tsc -p .

# What was compiled from a file that is gone would still be run, as a test for one.
find dist/src dist/test -name '*.js' | while read -r output; do
  source=${output#dist/}
  [ -f "${source%.js}.ts" ] || rm -f "$output" "$output.map" "${output%.js}.d.ts"
done

node scripts/bundle.mjs
chmod +x dist/bundle/havrrp.js
