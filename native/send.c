/* Sending: one datagram, many frames, one notification. */
#include "havrrp.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ETHERNET_HEADER = 14, ETHERNET_TYPE = 12, LARGEST = 65535, NOTIFICATION = 4096 /* as systemd reads them */ };

union control {
  struct cmsghdr align;
  uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static void *add_control(struct msghdr *header, union control *control, int level, int type, size_t size) {
  struct cmsghdr *item = &control->align;
  memset(control, 0, sizeof *control);
  header->msg_control = control;
  header->msg_controllen = CMSG_SPACE(size);
  item->cmsg_level = level;
  item->cmsg_type = type;
  item->cmsg_len = CMSG_LEN(size);
  return CMSG_DATA(item);
}

static bool address_fits(struct bytes address, size_t size, bool may_be_empty) {
  return address.length == size || (may_be_empty && address.length == 0);
}

/* @param destination, source 4 or 16 octets; an empty source leaves the choice to the kernel */
static int64_t send_ip(int fd, bool is_ipv6, struct iovec payload, struct bytes destination, struct bytes source,
                       uint32_t interface_index) {
  union control control;
  union {
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } to;
  struct msghdr header = {.msg_iov = &payload, .msg_iovlen = 1, .msg_name = &to};
  ssize_t sent;
  memset(&to, 0, sizeof to);
  if (is_ipv6) {
    struct in6_pktinfo info = {.ipi6_ifindex = interface_index};
    to.in6.sin6_family = AF_INET6;
    memcpy(&to.in6.sin6_addr, destination.data, 16);
    /* Only a link-local destination needs its link named, and only there may the kernel look at it. */
    if (IN6_IS_ADDR_LINKLOCAL(&to.in6.sin6_addr) || IN6_IS_ADDR_MULTICAST(&to.in6.sin6_addr))
      to.in6.sin6_scope_id = interface_index;
    header.msg_namelen = sizeof to.in6;
    if (source.length > 0) memcpy(&info.ipi6_addr, source.data, 16);
    memcpy(add_control(&header, &control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info), &info, sizeof info);
  } else {
    struct in_pktinfo info = {.ipi_ifindex = (int)interface_index};
    to.in.sin_family = AF_INET;
    memcpy(&to.in.sin_addr, destination.data, 4);
    header.msg_namelen = sizeof to.in;
    if (source.length > 0) memcpy(&info.ipi_spec_dst, source.data, 4);
    memcpy(add_control(&header, &control, IPPROTO_IP, IP_PKTINFO, sizeof info), &info, sizeof info);
  }
  sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno : sent;
}

int64_t op_send(struct call *call) {
  struct bytes payload, destination, source;
  int64_t interface_index;
  ssize_t sent;
  int fd = own(call, 0);
  enum kind kind;
  if (fd < 0) return fd;
  if (!take_bytes(call, 1, 0, LARGEST, &payload) || !take_bytes(call, 2, 0, 16, &destination) ||
      !take_bytes(call, 3, 0, 16, &source) || !take_integer(call, 4, 0, INT32_MAX, &interface_index))
    return -EINVAL;
  kind = kind_of(call, fd);
  if (kind == NETLINK) {
    if (destination.length > 0 || source.length > 0) return -EINVAL;
    sent = send(fd, payload.data, payload.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
  }
  if (kind == RAW_IPV4 || kind == RAW_IPV6) {
    size_t size = kind == RAW_IPV6 ? 16 : 4;
    struct iovec part = {payload.data, payload.length};
    if (!address_fits(destination, size, false) || !address_fits(source, size, true)) return -EINVAL;
    return send_ip(fd, kind == RAW_IPV6, part, destination, source, (uint32_t)interface_index);
  }
  return -EINVAL;
}

struct outgoing {
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  struct sockaddr_ll to[BATCH];
};

/* Reading an array element may run JavaScript (an accessor), which may detach a buffer or close the descriptor: so all
 * elements first, then the views and the descriptor, then the kernel.
 * @returns frames that went out, or -errno */
static int64_t send_batch(struct call *call, napi_value array, uint32_t first, uint32_t count) {
  napi_value elements[BATCH];
  struct outgoing outgoing;
  int sent, fd;
  for (uint32_t index = 0; index < count; index++)
    if (napi_get_element(call->env, array, first + index, &elements[index]) != napi_ok) return -EINVAL;
  fd = own(call, 0);
  if (fd < 0) return fd;
  if (kind_of(call, fd) != FRAMES) return -EINVAL;
  for (uint32_t index = 0; index < count; index++) {
    struct bytes frame;
    struct sockaddr_ll *to = &outgoing.to[index];
    if (!view_bytes(call->env, elements[index], &frame)) return -EINVAL;
    if (frame.length < ETHERNET_HEADER || frame.length > LARGEST) return -EINVAL;
    outgoing.parts[index] = (struct iovec){frame.data, frame.length};
    *to = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = call->environment->descriptors[fd].interface_index};
    memcpy(&to->sll_protocol, frame.data + ETHERNET_TYPE, 2); /* network order in both places */
    outgoing.messages[index].msg_hdr = (struct msghdr){
        .msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &outgoing.parts[index], .msg_iovlen = 1};
  }
  sent = sendmmsg(fd, outgoing.messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno : sent;
}

int64_t op_send_frames(struct call *call) {
  napi_value array = call->argument[1];
  uint32_t length, total = 0;
  int fd = own(call, 0);
  bool is_array = false;
  if (fd < 0) return fd;
  if (napi_is_array(call->env, array, &is_array) != napi_ok || !is_array) return -EINVAL;
  if (napi_get_array_length(call->env, array, &length) != napi_ok) return -EINVAL;
  while (total < length) {
    uint32_t count = length - total < BATCH ? length - total : BATCH;
    napi_handle_scope scope;
    int64_t sent;
    if (napi_open_handle_scope(call->env, &scope) != napi_ok) return -ENOMEM;
    sent = send_batch(call, array, total, count);
    napi_close_handle_scope(call->env, scope);
    if (sent < 0) return total > 0 ? total : sent;
    total += (uint32_t)sent;
    if (sent < count) break;
  }
  return total;
}

int64_t op_sd_notify(struct call *call) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  char message[NOTIFICATION + 1];
  size_t path_length, length;
  int64_t result;
  int fd;
  if (!take_text(call, 0, to.sun_path, sizeof to.sun_path, &path_length)) return -EINVAL;
  if (!take_text(call, 1, message, sizeof message, &length)) return -EINVAL;
  if (path_length < 2 || (to.sun_path[0] != '/' && to.sun_path[0] != '@')) return -EINVAL;
  if (to.sun_path[0] == '@') to.sun_path[0] = 0; /* the abstract name space, where length counts and no NUL ends it */
  fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  result = sendto(fd, message, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length));
  if (result < 0) return abandon(fd);
  close(fd);
  return result;
}
