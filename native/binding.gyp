# Built by scripts/build-native.sh, which says which sources these are.
{
  "variables": { "source_digest%": "unknown" },
  "targets": [
    {
      "target_name": "havrrp",
      "sources": [
        "addon.c", "arguments.c", "errno.c", "receive.c", "send.c", "sockets.c", "timer.c", "watch.c"
      ],
      "defines": ["_GNU_SOURCE", "SOURCE_DIGEST=<(source_digest)"],
      "cflags": ["-std=gnu11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
      # gyp links with the C++ driver; as-needed leaves its libraries out again. No build id: it would depend on the path.
      "ldflags": ["-Wl,--as-needed", "-Wl,--build-id=none", "-Wl,-z,now"]
    }
  ]
}
