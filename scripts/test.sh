#!/bin/sh
# Runs the tests, after all the set-up they need. `npm test -- test/net/filter.test.ts ...` runs only those.
# Output is for a person on a terminal, and TAP elsewhere (.ci/run counts it).
set -eu
cd "$(dirname "$0")/.."

sh scripts/setup.sh test
sh scripts/build.sh
reporter=tap
if [ -t 1 ]; then reporter=base; fi
status=0

# run JOBS FILE...: compiled test files
run() {
  jobs=$1
  shift
  [ $# -eq 0 ] || node_modules/.bin/tap --reporter=$reporter --jobs="$jobs" "$@" || status=1
}

if [ $# -gt 0 ]; then
  for source in "$@"; do
    set -- "$@" "dist/${source%.ts}.js"
    shift
  done
  run 1 "$@"
  exit $status
fi

find_tests() { find dist/test -name '*.test.js' "$@" | sort; }
# What opens sockets on a network of its own is about time as well: one such file at a time.
run 2 $(find_tests -not -path '*/kernel/*' -not -path '*/interop/*')
alone=$(find_tests -path '*/kernel/*' -o -name '*.test.js' -path '*/interop/*')
if [ "$(id -u)" = 0 ]; then
  run 1 $alone
else
  echo "# SKIPPED, for want of root: $(echo "$alone" | wc -l) files of test/kernel and test/interop"
  echo "test: SKIPPED, for want of root: test/kernel and test/interop: run sudo npm test" >&2
fi
exit $status
