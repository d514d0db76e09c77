/* What the files of the addon share. It knows sockets, timers and bytes; it has never heard of VRRP.
 *
 * An operation is a function of a call that answers `>= 0` or `-errno`. It takes every argument through the functions
 * below, which refuse what has the wrong type or size, and every descriptor through `own`, which refuses what this
 * environment (main thread or worker) did not open itself. */
#ifndef HAVRRP_H
#define HAVRRP_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { BATCH = 64, MAX_ARGUMENTS = 5 };

enum kind { NOT_OURS = 0, RAW_IPV4, RAW_IPV6, FRAMES, NETLINK, TIMER };

struct watch;

struct descriptor {
  enum kind kind;
  struct watch *watch;  /* NULL: nobody watches */
  int interface_index; /* of FRAMES: where they go */
};

struct call;
typedef int64_t operation(struct call *call);

/* One per environment; nothing in the addon is global and writable. */
struct environment {
  napi_env env;
  uv_loop_t *loop;
  napi_async_cleanup_hook_handle cleanup;
  struct bound *bound;
  struct descriptor *descriptors; /* indexed by file descriptor */
  size_t capacity;
  unsigned closing; /* watches that libuv has not finished closing */
  bool ending;
};

struct call {
  napi_env env;
  struct environment *environment;
  napi_value argument[MAX_ARGUMENTS];
};

struct bytes {
  uint8_t *data;
  size_t length;
};

/* arguments.c */
bool take_integer(struct call *call, unsigned index, int64_t least, int64_t most, int64_t *integer);
bool take_bytes(struct call *call, unsigned index, size_t least, size_t most, struct bytes *bytes);
bool view_bytes(napi_env env, napi_value value, struct bytes *bytes);
/* Text without NUL that fits `size` with its own NUL behind it. */
bool take_text(struct call *call, unsigned index, char *text, size_t size, size_t *length);
/* The file descriptor in argument `index`, or -EBADF when this environment did not open it. */
int own(struct call *call, unsigned index);
enum kind kind_of(struct call *call, int fd);

/* addon.c */
/* Files a descriptor just opened. Closes it and answers -errno when there is no memory to file it. */
int64_t adopt(struct environment *environment, int fd, enum kind kind);
/* Closes `fd` and answers -errno as it was before the closing. */
int64_t abandon(int fd);
/* Frees an environment that is ending once no watch is closing any more. */
void environment_may_end(struct environment *environment);

/* watch.c */
operation op_watch, op_unwatch, op_close;
void end_watch(struct environment *environment, int fd);

/* sockets.c */
operation op_interface_index, op_open_raw, op_join_group, op_leave_group, op_open_frames, op_open_netlink;
operation op_netlink_join, op_open_pipe, op_attach_filter, op_dropped;

/* receive.c, send.c, timer.c */
operation op_receive, op_send, op_send_frames, op_sd_notify, op_open_timer, op_arm_timer, op_read_timer;
napi_value monotonic_now(napi_env env, napi_callback_info info);
int64_t monotonic_ns(void);

/* errno.c */
napi_value errno_name(napi_env env, napi_callback_info info);

#endif
