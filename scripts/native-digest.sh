#!/bin/sh
# Prints the sha256 over everything the addon is made from; the addon carries it as `sourceDigest`.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/../native"
sha256sum -- *.c *.h binding.gyp | sha256sum | cut -d ' ' -f 1
