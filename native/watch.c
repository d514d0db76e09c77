/* Readiness: one uv_poll_t for each watched descriptor, which libuv owns from its closing until `closed`. */
#include "havrrp.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct watch {
  uv_poll_t poll; /* its data points back here */
  struct environment *environment;
  napi_ref callback;
  int fd;
};

static void ready(uv_poll_t *poll, int status, int events);

static void call_back(struct watch *watch, int error) {
  napi_env env = watch->environment->env;
  napi_handle_scope scope;
  napi_value callback, receiver, argument, exception;
  bool thrown = false;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok && napi_create_int32(env, error, &argument) == napi_ok) {
    napi_make_callback(env, NULL, receiver, callback, 1, &argument, NULL);
    /* What the callback threw becomes an uncaughtException, with its stack; libuv could only lose it. */
    if (napi_is_exception_pending(env, &thrown) == napi_ok && thrown &&
        napi_get_and_clear_last_exception(env, &exception) == napi_ok)
      napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

static void ready(uv_poll_t *poll, int status, int events) {
  struct watch *watch = poll->data;
  int error = 0;
  (void)events;
  if (status < 0) {
    /* libuv calls any EPOLLERR UV_EBADF and stops; what happened stands in SO_ERROR, and reading it clears it. */
    socklen_t size = sizeof error;
    if (getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = -status;
    uv_poll_start(poll, UV_READABLE, ready);
  }
  call_back(watch, error); /* may unwatch or close; `watch` lives on until `closed` */
}


static void closed(uv_handle_t *handle) {
  struct watch *watch = handle->data;
  struct environment *environment = watch->environment;
  free(watch);
  environment->closing--;
  environment_may_end(environment);
}

void end_watch(struct environment *environment, int fd) {
  struct watch *watch = environment->descriptors[fd].watch;
  if (watch == NULL) return;
  environment->descriptors[fd].watch = NULL;
  environment->closing++;
  napi_delete_reference(environment->env, watch->callback);
  /* libuv forgets the descriptor in here, so it may be closed at once. */
  uv_close((uv_handle_t *)&watch->poll, closed);
}

int64_t op_watch(struct call *call) {
  struct environment *environment = call->environment;
  int fd = own(call, 0);
  napi_valuetype type;
  struct watch *watch;
  int status;
  if (fd < 0) return fd;
  if (napi_typeof(call->env, call->argument[1], &type) != napi_ok || type != napi_function) return -EINVAL;
  if (environment->descriptors[fd].watch != NULL) return -EBUSY;
  watch = calloc(1, sizeof *watch);
  if (watch == NULL) return -ENOMEM;
  watch->environment = environment;
  watch->fd = fd;
  watch->poll.data = watch;
  status = uv_poll_init(environment->loop, &watch->poll, fd);
  if (status != 0) {
    free(watch);
    return status;
  }
  if (napi_create_reference(call->env, call->argument[1], 1, &watch->callback) != napi_ok) {
    environment->closing++;
    uv_close((uv_handle_t *)&watch->poll, closed);
    return -ENOMEM;
  }
  environment->descriptors[fd].watch = watch;
  status = uv_poll_start(&watch->poll, UV_READABLE, ready);
  if (status != 0) end_watch(environment, fd);
  return status;
}

int64_t op_unwatch(struct call *call) {
  int fd = own(call, 0);
  if (fd < 0) return fd;
  end_watch(call->environment, fd);
  return 0;
}

int64_t op_close(struct call *call) {
  int fd = own(call, 0);
  if (fd < 0) return fd;
  end_watch(call->environment, fd);
  call->environment->descriptors[fd].kind = NOT_OURS;
  return close(fd) == 0 ? 0 : -errno;
}
