#!/bin/sh
# Succeeds when the addon that would be loaded was made from the sources of this tree: the one built here, or, where none
# was, the prebuilt one for this machine.
cd "$(dirname "$0")/.."
exec node -e '
  const { existsSync } = require("node:fs");
  const libc = process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl";
  const built = "./native/build/Release/havrrp.node";
  const file = existsSync(built) ? built : `./prebuilds/linux-${process.arch}-${libc}/havrrp.node`;
  process.exitCode = existsSync(file) && require(require("node:path").resolve(file)).sourceDigest === process.argv[1] ? 0 : 1;
' "$(sh scripts/native-digest.sh)"
