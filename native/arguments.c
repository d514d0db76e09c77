/* Arguments from JavaScript: taken only when type and size are right. None of these runs JavaScript, so a view that was
 * taken stays good until the operation returns. */
#include "havrrp.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

bool take_integer(struct call *call, unsigned index, int64_t least, int64_t most, int64_t *integer) {
  double number;
  if (napi_get_value_double(call->env, call->argument[index], &number) != napi_ok) return false;
  /* Written so that NaN fails; a double outside int64_t must not reach the cast. */
  if (!(number >= (double)least && number <= (double)most)) return false;
  *integer = (int64_t)number;
  return (double)*integer == number;
}

bool view_bytes(napi_env env, napi_value value, struct bytes *bytes) {
  bool is_typedarray = false;
  napi_typedarray_type type;
  void *data = NULL;
  if (napi_is_typedarray(env, value, &is_typedarray) != napi_ok || !is_typedarray) return false;
  if (napi_get_typedarray_info(env, value, &type, &bytes->length, &data, NULL, NULL) != napi_ok) return false;
  bytes->data = data;
  /* A detached buffer has neither length nor data. */
  return type == napi_uint8_array && (data != NULL || bytes->length == 0);
}

bool take_bytes(struct call *call, unsigned index, size_t least, size_t most, struct bytes *bytes) {
  return view_bytes(call->env, call->argument[index], bytes) && bytes->length >= least && bytes->length <= most;
}

bool take_text(struct call *call, unsigned index, char *text, size_t size, size_t *length) {
  size_t needed;
  if (napi_get_value_string_utf8(call->env, call->argument[index], NULL, 0, &needed) != napi_ok) return false;
  if (needed >= size) return false;
  if (napi_get_value_string_utf8(call->env, call->argument[index], text, size, length) != napi_ok) return false;
  return memchr(text, 0, *length) == NULL;
}

int own(struct call *call, unsigned index) {
  int64_t fd;
  if (!take_integer(call, index, 0, INT_MAX, &fd)) return -EBADF;
  return kind_of(call, (int)fd) == NOT_OURS ? -EBADF : (int)fd;
}

enum kind kind_of(struct call *call, int fd) {
  const struct environment *environment = call->environment;
  return fd >= 0 && (size_t)fd < environment->capacity ? environment->descriptors[fd].kind : NOT_OURS;
}
