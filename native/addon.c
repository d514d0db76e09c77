/* The table of operations, and the life of an environment: what it opened is closed when it ends. */
#include "havrrp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_OF(token) #token
#define TEXT(macro) TEXT_OF(macro)

#ifndef SOURCE_DIGEST
#error "SOURCE_DIGEST is not defined: build with scripts/build-native.sh"
#endif

static const struct {
  const char *name;
  operation *operation;
} operations[] = {
    {"interfaceIndex", op_interface_index},
    {"openRaw", op_open_raw},
    {"joinGroup", op_join_group},
    {"leaveGroup", op_leave_group},
    {"openFrames", op_open_frames},
    {"openNetlink", op_open_netlink},
    {"netlinkJoin", op_netlink_join},
    {"openPipe", op_open_pipe},
    {"openTimer", op_open_timer},
    {"armTimer", op_arm_timer},
    {"readTimer", op_read_timer},
    {"attachFilter", op_attach_filter},
    {"dropped", op_dropped},
    {"watch", op_watch},
    {"unwatch", op_unwatch},
    {"close", op_close},
    {"receive", op_receive},
    {"send", op_send},
    {"sendFrames", op_send_frames},
    {"sdNotify", op_sd_notify},
};

enum { OPERATIONS = sizeof operations / sizeof *operations };

struct bound {
  struct environment *environment;
  operation *operation;
};

int64_t abandon(int fd) {
  int64_t result = -errno;
  close(fd);
  return result;
}

int64_t adopt(struct environment *environment, int fd, enum kind kind) {
  if (fd < 0) return -errno;
  if ((size_t)fd >= environment->capacity) {
    size_t capacity = (size_t)fd + 64;
    struct descriptor *descriptors = realloc(environment->descriptors, capacity * sizeof *descriptors);
    if (descriptors == NULL) return abandon(fd);
    memset(descriptors + environment->capacity, 0, (capacity - environment->capacity) * sizeof *descriptors);
    environment->descriptors = descriptors;
    environment->capacity = capacity;
  }
  environment->descriptors[fd] = (struct descriptor){.kind = kind};
  return fd;
}

static napi_value invoke(napi_env env, napi_callback_info info) {
  struct call call = {.env = env};
  struct bound *bound;
  size_t count = MAX_ARGUMENTS; /* those not given arrive as undefined */
  napi_value result = NULL;
  if (napi_get_cb_info(env, info, &count, call.argument, NULL, (void **)&bound) != napi_ok) return NULL;
  call.environment = bound->environment;
  napi_create_int64(env, bound->operation(&call), &result);
  return result;
}

/* Called once when the environment ends, and again by each watch that finishes closing after that: the last one out
 * frees the rest. (uv_close in a synchronous cleanup hook would leave libuv with handles in freed memory.) */
void environment_may_end(struct environment *environment) {
  if (!environment->ending || environment->closing > 0) return;
  napi_remove_async_cleanup_hook(environment->cleanup);
  free(environment->descriptors);
  free(environment->bound);
  free(environment);
}

static void end(napi_async_cleanup_hook_handle handle, void *argument) {
  struct environment *environment = argument;
  (void)handle; /* the same as environment->cleanup */
  for (size_t fd = 0; fd < environment->capacity; fd++) {
    if (environment->descriptors[fd].kind == NOT_OURS) continue;
    end_watch(environment, (int)fd);
    close((int)fd);
  }
  environment->ending = true;
  environment_may_end(environment);
}

static bool define(struct environment *environment, napi_value exports) {
  napi_env env = environment->env;
  napi_property_descriptor properties[OPERATIONS + 3];
  napi_value digest;
  memset(properties, 0, sizeof properties);
  for (size_t index = 0; index < OPERATIONS; index++) {
    environment->bound[index] = (struct bound){environment, operations[index].operation};
    properties[index].utf8name = operations[index].name;
    properties[index].method = invoke;
    properties[index].data = &environment->bound[index];
    properties[index].attributes = napi_enumerable;
  }
  if (napi_create_string_utf8(env, TEXT(SOURCE_DIGEST), NAPI_AUTO_LENGTH, &digest) != napi_ok) return false;
  properties[OPERATIONS].utf8name = "now";
  properties[OPERATIONS].method = monotonic_now;
  properties[OPERATIONS + 1].utf8name = "errnoName";
  properties[OPERATIONS + 1].method = errno_name;
  properties[OPERATIONS + 2].utf8name = "sourceDigest";
  properties[OPERATIONS + 2].value = digest;
  for (size_t index = OPERATIONS; index < OPERATIONS + 3; index++) properties[index].attributes = napi_enumerable;
  return napi_define_properties(env, exports, OPERATIONS + 3, properties) == napi_ok;
}

NAPI_MODULE_INIT() {
  struct environment *environment = calloc(1, sizeof *environment);
  struct bound *bound = calloc(OPERATIONS, sizeof *bound);
  if (environment != NULL && bound != NULL) {
    environment->env = env;
    environment->bound = bound;
    if (napi_get_uv_event_loop(env, &environment->loop) == napi_ok &&
        napi_add_async_cleanup_hook(env, end, environment, &environment->cleanup) == napi_ok) {
      /* From here on the cleanup hook owns both. */
      if (!define(environment, exports)) napi_throw_error(env, NULL, "havrrp.node: cannot define its functions");
      return exports;
    }
  }
  free(environment);
  free(bound);
  napi_throw_error(env, NULL, "havrrp.node: no memory for a new environment");
  return NULL;
}
