/* CLOCK_MONOTONIC: its time in milliseconds, and timers armed for an absolute time. */
#include "havrrp.h"

#include <errno.h>
#include <math.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, NS_PER_SECOND = 1000000000 };

/* Some 290 years: what fits 63 bits of nanoseconds. */
static const double latest_ms = 9.2e12;

int64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

napi_value monotonic_now(napi_env env, napi_callback_info info) {
  napi_value result = NULL;
  (void)info;
  napi_create_double(env, (double)monotonic_ns() / NS_PER_MS, &result);
  return result;
}

int64_t op_open_timer(struct call *call) {
  return adopt(call->environment, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), TIMER);
}

int64_t op_arm_timer(struct call *call) {
  struct itimerspec when = {0};
  int fd = own(call, 0);
  napi_valuetype type;
  double at;
  if (fd < 0) return fd;
  if (kind_of(call, fd) != TIMER || napi_typeof(call->env, call->argument[1], &type) != napi_ok) return -EINVAL;
  if (type != napi_undefined) {
    int64_t ns;
    if (napi_get_value_double(call->env, call->argument[1], &at) != napi_ok) return -EINVAL;
    if (isnan(at) || at > latest_ms) return -EINVAL;
    ns = at > 0 ? (int64_t)(at * NS_PER_MS) : 0;
    if (ns == 0) ns = 1; /* zero would disarm */
    when.it_value.tv_sec = ns / NS_PER_SECOND;
    when.it_value.tv_nsec = ns % NS_PER_SECOND;
  }
  return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) == 0 ? 0 : -errno;
}

int64_t op_read_timer(struct call *call) {
  uint64_t expirations;
  int fd = own(call, 0);
  if (fd < 0) return fd;
  if (kind_of(call, fd) != TIMER) return -EINVAL;
  if (read(fd, &expirations, sizeof expirations) == sizeof expirations) return (int64_t)expirations;
  return errno == EAGAIN ? 0 : -errno;
}
