/* Receiving: up to 64 datagrams a call, each into a slot of the caller's slab (layout: `slot` in src/net/native.ts). */
#include "havrrp.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
  SLOT_LENGTH = 0,
  SLOT_HOP_LIMIT = 4,
  SLOT_INTERFACE_INDEX = 8,
  SLOT_FLAGS = 12,
  SLOT_ARRIVED_AT = 16,
  SLOT_SOURCE = 24,
  SLOT_DESTINATION = 40,
  SLOT_DATA = 56,
  FLAG_TRUNCATED = 1,
  IPV4_HEADER = 20, /* without options */
  NS_PER_SECOND = 1000000000
};

union address {
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  struct sockaddr_nl nl;
};

/* Room for hop limit, packet info and time stamp, whichever family. */
union control {
  struct cmsghdr align;
  uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct timespec))];
};

struct batch {
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH][2];
  union address sources[BATCH];
  union control controls[BATCH];
  uint8_t headers[BATCH][IPV4_HEADER];
};

/* The kernel stamps with the wall clock, which may be set at any time: the distance between the clocks holds for this
 * call only. Taken a little too large when we are preempted in between, and `arrived` never lies in the future. */
struct clocks {
  int64_t now, realtime_to_monotonic;
};

static struct clocks read_clocks(void) {
  struct timespec realtime;
  struct clocks clocks;
  clock_gettime(CLOCK_REALTIME, &realtime);
  clocks.now = monotonic_ns();
  clocks.realtime_to_monotonic = clocks.now - ((int64_t)realtime.tv_sec * NS_PER_SECOND + realtime.tv_nsec);
  return clocks;
}

static int prepare(struct batch *batch, enum kind kind, struct bytes slab, size_t slot_bytes) {
  size_t count = slab.length / slot_bytes < BATCH ? slab.length / slot_bytes : BATCH;
  for (size_t index = 0; index < count; index++) {
    struct msghdr *header = &batch->messages[index].msg_hdr;
    bool with_ip_header = kind == RAW_IPV4;
    batch->parts[index][0] = (struct iovec){batch->headers[index], IPV4_HEADER};
    batch->parts[index][1] = (struct iovec){slab.data + index * slot_bytes + SLOT_DATA, slot_bytes - SLOT_DATA};
    *header = (struct msghdr){
        .msg_name = &batch->sources[index],
        .msg_namelen = sizeof batch->sources[index],
        .msg_iov = with_ip_header ? batch->parts[index] : batch->parts[index] + 1,
        .msg_iovlen = with_ip_header ? 2 : 1,
        .msg_control = &batch->controls[index],
        .msg_controllen = sizeof batch->controls[index],
    };
  }
  return (int)count;
}

static void put(uint8_t *slot, size_t offset, const void *value, size_t size) { memcpy(slot + offset, value, size); }

static void put_control(uint8_t *slot, struct msghdr *header, struct clocks clocks) {
  int32_t hop_limit = -1;
  double arrived_at = (double)clocks.now / 1e6;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item != NULL; item = CMSG_NXTHDR(header, item)) {
    const void *data = CMSG_DATA(item);
    if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec stamp;
      memcpy(&stamp, data, sizeof stamp);
      int64_t arrived = (int64_t)stamp.tv_sec * NS_PER_SECOND + stamp.tv_nsec + clocks.realtime_to_monotonic;
      if (arrived < clocks.now) arrived_at = (double)arrived / 1e6;
    } else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_TTL) {
      memcpy(&hop_limit, data, sizeof hop_limit);
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_HOPLIMIT) {
      memcpy(&hop_limit, data, sizeof hop_limit);
    } else if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, data, sizeof info);
      put(slot, SLOT_INTERFACE_INDEX, &info.ipi_ifindex, 4);
      put(slot, SLOT_DESTINATION, &info.ipi_addr, 4); /* from the header; ipi_spec_dst would be our own address */
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, data, sizeof info);
      put(slot, SLOT_INTERFACE_INDEX, &info.ipi6_ifindex, 4);
      put(slot, SLOT_DESTINATION, &info.ipi6_addr, 16);
    }
  }
  put(slot, SLOT_HOP_LIMIT, &hop_limit, 4);
  put(slot, SLOT_ARRIVED_AT, &arrived_at, 8);
}

/* Leaves the options out as well: moves what lies behind them to the front.
 * @returns octets of payload; 0 for a header that cannot be (the kernel lets none through) */
static uint32_t strip_ipv4_options(const uint8_t *header, uint8_t *data, uint32_t received) {
  uint32_t header_length = (uint32_t)(header[0] & 0x0f) * 4;
  uint32_t options;
  if (received < IPV4_HEADER || header_length < IPV4_HEADER || header_length > received) return 0;
  options = header_length - IPV4_HEADER;
  if (options > 0) memmove(data, data + options, received - header_length);
  return received - header_length;
}

static void fill(uint8_t *slot, struct batch *batch, int index, enum kind kind, struct clocks clocks) {
  struct msghdr *header = &batch->messages[index].msg_hdr;
  union address *source = &batch->sources[index];
  uint32_t length = batch->messages[index].msg_len;
  uint32_t flags = header->msg_flags & MSG_TRUNC ? FLAG_TRUNCATED : 0;
  memset(slot, 0, SLOT_DATA);
  put_control(slot, header, clocks);
  if (kind == RAW_IPV4) {
    length = strip_ipv4_options(batch->headers[index], slot + SLOT_DATA, length);
    put(slot, SLOT_SOURCE, &source->in.sin_addr, 4);
  } else if (kind == RAW_IPV6) {
    put(slot, SLOT_SOURCE, &source->in6.sin6_addr, 16);
  } else if (kind == NETLINK) {
    put(slot, SLOT_SOURCE, &source->nl.nl_pid, 4);
  }
  put(slot, SLOT_LENGTH, &length, 4);
  put(slot, SLOT_FLAGS, &flags, 4);
}

int64_t op_receive(struct call *call) {
  struct batch batch;
  struct clocks clocks;
  struct bytes slab;
  int64_t slot_bytes;
  enum kind kind;
  int count;
  int fd = own(call, 0);
  if (fd < 0) return fd;
  if (!take_bytes(call, 1, SLOT_DATA + 1, SIZE_MAX, &slab)) return -EINVAL;
  if (!take_integer(call, 2, SLOT_DATA + 1, 1 << 20, &slot_bytes)) return -EINVAL;
  if (slab.length < (size_t)slot_bytes) return -EINVAL;
  kind = kind_of(call, fd);
  memset(batch.sources, 0, sizeof batch.sources);
  memset(batch.headers, 0, sizeof batch.headers);
  count = recvmmsg(fd, batch.messages, (unsigned)prepare(&batch, kind, slab, (size_t)slot_bytes), MSG_DONTWAIT, NULL);
  if (count < 0) return errno == EAGAIN ? 0 : -errno;
  clocks = read_clocks();
  for (int index = 0; index < count; index++) {
    fill(slab.data + (size_t)index * (size_t)slot_bytes, &batch, index, kind, clocks);
  }
  return count;
}
