#!/bin/sh
# Makes prebuilds/linux-ARCH-LIBC/havrrp.node for this machine: what an installed havrrp loads, so that a firewall needs no
# compiler. The same sources and compiler give the same octets, wherever the tree lies.
set -eu
cd "$(dirname "$0")/.."

arch=$(node -p process.arch)
libc=$(node -p 'process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl"')
target=prebuilds/linux-$arch-$libc/havrrp.node
newest_symbol=2.17 # what Debian and Ubuntu had in 2014, and RHEL 7

sh scripts/build-native.sh
mkdir -p "$(dirname "$target")"
strip --strip-all --remove-section=.comment -o "$target" native/build/Release/havrrp.node
chmod 644 "$target"

needed=$(readelf -d "$target" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
case $needed in
"libc.so.6 " | libc.musl-*.so.1\ ) ;;
*)
  echo "prebuild: $target needs more than libc: $needed" >&2
  exit 1
  ;;
esac
found=$(readelf --version-info "$target" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1)
if [ "$(printf '%s\n' "$found" "$newest_symbol" | sort -V | tail -n 1)" != "$newest_symbol" ]; then
  echo "prebuild: $target needs glibc $found, newer than $newest_symbol: see readelf --version-info" >&2
  exit 1
fi
echo "$target: $(wc -c <"$target") octets, glibc ${found:-none}, $(sha256sum "$target" | cut -c 1-16)"
