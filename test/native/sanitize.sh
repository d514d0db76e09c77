#!/bin/sh
# Runs test/native/abuse.ts under AddressSanitizer with UndefinedBehaviorSanitizer, then under valgrind, and fails when either
# finds anything in the addon. Node itself and V8 are not clean under them: only findings with a frame of ours count.
# Needs root, a compiler with libasan, valgrind, and the compiled tests.
# usage: sh test/native/sanitize.sh [DIRECTORY OF COMPILED CODE, default dist]
set -eu
cd "$(dirname "$0")/../.."
tree=$PWD
compiled=$(cd "${1:-dist}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ "$(id -u)" -ne 0 ]; then
  echo "sanitize: needs root, for raw sockets in a network namespace of their own" >&2
  exit 1
fi
if [ ! -f "$compiled/test/native/abuse.js" ]; then
  echo "sanitize: no $compiled/test/native/abuse.js: compile first (npm run build)" >&2
  exit 1
fi
headers=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")/include/node
if [ ! -f "$headers/node_api.h" ]; then
  echo "sanitize: no node_api.h in $headers: install Node from its tarball or NodeSource, with headers" >&2
  exit 1
fi

# The package as the loader wants to find it, with an addon of our own making.
mkdir -p "$scratch/native/build/Release" "$scratch/dist"
cp package.json "$scratch"
ln -s "$tree/node_modules" "$scratch/node_modules"
cp -r "$compiled/src" "$compiled/test" "$scratch/dist"
abuse=$scratch/dist/test/native/abuse.js
ours='havrrp\.node|\((addon|arguments|errno|receive|send|sockets|timer|watch)\.c:|native/(addon|arguments|errno|receive|send|sockets|timer|watch)\.c:'

build() {
  ${CC:-cc} -std=gnu11 -g -O1 -fno-omit-frame-pointer -fPIC -shared -Wall -Wextra -Werror -D_GNU_SOURCE \
    -DSOURCE_DIGEST="$(sh scripts/native-digest.sh)" -I"$headers" "$@" native/*.c \
    -o "$scratch/native/build/Release/havrrp.node"
}

# Prints the reports (separated by lines without text) that have a frame of ours in them.
reports_of_ours() {
  sed -E 's/^==[0-9]+== ?//' "$1" | awk -v ours="$ours" 'BEGIN { RS = "" } $0 ~ ours { print $0 "\n" }'
}

fail() {
  echo "sanitize: $1" >&2
  exit 1
}

echo '--- AddressSanitizer, UndefinedBehaviorSanitizer'
build -fsanitize=address,undefined -fno-sanitize-recover=undefined
# Leaks: Node leaves much behind on purpose, so the exit status cannot tell; exitcode covers leaks only.
status=0
ASAN_OPTIONS=detect_leaks=1:log_path=$scratch/asan:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
  LSAN_OPTIONS=exitcode=0:max_leaks=0 LD_PRELOAD=$(${CC:-cc} -print-file-name=libasan.so) \
  ABUSE_RUNS="${ABUSE_RUNS:-20000}" unshare --net node "$abuse" >"$scratch/out" 2>&1 || status=$?
cat "$scratch/out"
cat "$scratch"/asan.* >"$scratch/asan" 2>/dev/null || true
if grep -E 'ERROR: AddressSanitizer|runtime error' "$scratch/asan" "$scratch/out"; then
  cat "$scratch/asan"
  fail 'AddressSanitizer found something'
fi
reports_of_ours "$scratch/asan" >"$scratch/findings"
if [ -s "$scratch/findings" ]; then
  cat "$scratch/findings"
  fail 'LeakSanitizer found memory of the addon'
fi
grep -q survived "$scratch/out" || fail 'the script did not get to its end'
[ "$status" -eq 0 ] || fail "exit status $status"

echo '--- valgrind'
build
status=0
ABUSE_RUNS="${VALGRIND_RUNS:-300}" unshare --net valgrind --log-file="$scratch/valgrind" --leak-check=full \
  --show-leak-kinds=definite --num-callers=30 --error-limit=no node "$abuse" >"$scratch/out" 2>&1 || status=$?
cat "$scratch/out"
reports_of_ours "$scratch/valgrind" >"$scratch/findings"
if [ -s "$scratch/findings" ]; then
  cat "$scratch/findings"
  fail 'valgrind found something in the addon'
fi
grep -q 'ERROR SUMMARY' "$scratch/valgrind" || fail 'valgrind did not get to its end'
grep -q survived "$scratch/out" || fail 'the script did not get to its end'
[ "$status" -eq 0 ] || fail "exit status $status"
echo '--- nothing found'
