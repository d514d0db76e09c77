/* Opening sockets and pipes, groups, filters. Each socket is complete when it is handed over: no option is left to the caller. */
#include "havrrp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

enum {
  HOPS = 255,
  TRAFFIC_CLASS = 0xc0, /* CS6, network control */
  PRIORITY = 7,         /* TC_PRIO_CONTROL */
  LARGEST_BUFFER = 1 << 28,
  LARGEST_FILTER = 4096 /* BPF_MAXINSNS */
};

struct option {
  int level, name, value;
};

/* In this order: the traffic class would reset the priority. */
static const struct option ipv4_options[] = {
    {IPPROTO_IP, IP_HDRINCL, 0},
    {IPPROTO_IP, IP_TTL, HOPS},
    {IPPROTO_IP, IP_MULTICAST_TTL, HOPS},
    {IPPROTO_IP, IP_TOS, TRAFFIC_CLASS},
    {IPPROTO_IP, IP_MULTICAST_LOOP, 0},
    {IPPROTO_IP, IP_MULTICAST_ALL, 0},
    {IPPROTO_IP, IP_RECVTTL, 1},
    {IPPROTO_IP, IP_PKTINFO, 1},
    {SOL_SOCKET, SO_TIMESTAMPNS, 1},
    {SOL_SOCKET, SO_PRIORITY, PRIORITY},
};

/* IPV6_CHECKSUM stays off: the kernel would drop a bad one before anybody could count it. */
static const struct option ipv6_options[] = {
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOPS},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOPS},
    {IPPROTO_IPV6, IPV6_TCLASS, TRAFFIC_CLASS},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1},
    {SOL_SOCKET, SO_TIMESTAMPNS, 1},
    {SOL_SOCKET, SO_PRIORITY, PRIORITY},
};

static bool set_options(int fd, const struct option *options, size_t count) {
  for (size_t index = 0; index < count; index++) {
    const struct option *option = &options[index];
    if (setsockopt(fd, option->level, option->name, &option->value, sizeof option->value) != 0) return false;
  }
  return true;
}

static bool set_receive_buffer(int fd, int bytes) {
  return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0 ||
         setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0;
}

/* A raw socket hears its protocol on every device from the moment it exists. So it is made deaf first, and what came in
 * before that is thrown away: nothing is ever read that did not pass the caller's filter and come in by his device. */
static bool deafen(int fd) {
  struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {1, &nothing};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static void purge(int fd) {
  uint8_t octet;
  while (recv(fd, &octet, sizeof octet, MSG_DONTWAIT) >= 0) {
  }
}

int64_t op_interface_index(struct call *call) {
  char name[IF_NAMESIZE];
  size_t length;
  unsigned index;
  if (!take_text(call, 0, name, sizeof name, &length) || length == 0) return -EINVAL;
  index = if_nametoindex(name);
  return index == 0 ? -errno : (int64_t)index;
}

int64_t op_open_raw(struct call *call) {
  int64_t family, protocol, buffer;
  char device[IF_NAMESIZE];
  size_t length;
  bool is_ipv6;
  int fd;
  if (!take_integer(call, 0, 4, 6, &family) || family == 5) return -EINVAL;
  if (!take_integer(call, 1, 1, 255, &protocol)) return -EINVAL;
  if (!take_text(call, 2, device, sizeof device, &length)) return -EINVAL;
  if (!take_integer(call, 3, 1, LARGEST_BUFFER, &buffer)) return -EINVAL;
  is_ipv6 = family == 6;
  fd = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, (int)protocol);
  if (fd < 0) return -errno;
  /* No name leaves it to the routes where packets go, and takes them from everywhere. */
  if (!deafen(fd) ||
      (length > 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)length) != 0) ||
      !set_receive_buffer(fd, (int)buffer) ||
      !(is_ipv6 ? set_options(fd, ipv6_options, sizeof ipv6_options / sizeof *ipv6_options)
                : set_options(fd, ipv4_options, sizeof ipv4_options / sizeof *ipv4_options)))
    return abandon(fd);
  purge(fd);
  return adopt(call->environment, fd, is_ipv6 ? RAW_IPV6 : RAW_IPV4);
}

static int64_t change_membership(struct call *call, bool join) {
  int64_t family, interface_index;
  struct bytes group;
  int status, fd = own(call, 0);
  if (fd < 0) return fd;
  if (!take_integer(call, 1, 4, 6, &family) || !take_integer(call, 3, 1, INT32_MAX, &interface_index)) return -EINVAL;
  if (family == 4 && kind_of(call, fd) == RAW_IPV4 && take_bytes(call, 2, 4, 4, &group)) {
    struct ip_mreqn request = {.imr_ifindex = (int)interface_index};
    memcpy(&request.imr_multiaddr, group.data, 4);
    status = setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request, sizeof request);
  } else if (family == 6 && kind_of(call, fd) == RAW_IPV6 && take_bytes(call, 2, 16, 16, &group)) {
    struct ipv6_mreq request = {.ipv6mr_interface = (unsigned)interface_index};
    memcpy(&request.ipv6mr_multiaddr, group.data, 16);
    status = setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof request);
  } else {
    return -EINVAL;
  }
  return status == 0 ? 0 : -errno;
}

int64_t op_join_group(struct call *call) { return change_membership(call, true); }

int64_t op_leave_group(struct call *call) { return change_membership(call, false); }

int64_t op_open_frames(struct call *call) {
  /* Protocol 0: never receives. */
  struct sockaddr_ll where = {.sll_family = AF_PACKET};
  static const struct option priority = {SOL_SOCKET, SO_PRIORITY, PRIORITY};
  int64_t interface_index, result;
  int fd;
  if (!take_integer(call, 0, 1, INT32_MAX, &interface_index)) return -EINVAL;
  fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  where.sll_ifindex = (int)interface_index;
  if (bind(fd, (struct sockaddr *)&where, sizeof where) != 0 || !set_options(fd, &priority, 1)) return abandon(fd);
  result = adopt(call->environment, fd, FRAMES);
  if (result >= 0) call->environment->descriptors[fd].interface_index = (int)interface_index;
  return result;
}

int64_t op_open_netlink(struct call *call) {
  static const int wanted[] = {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK};
  struct sockaddr_nl any = {.nl_family = AF_NETLINK};
  int64_t protocol, buffer;
  int fd, on = 1;
  if (!take_integer(call, 0, 0, 31, &protocol) || !take_integer(call, 1, 1, LARGEST_BUFFER, &buffer)) return -EINVAL;
  fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, (int)protocol);
  if (fd < 0) return -errno;
  for (size_t index = 0; index < sizeof wanted / sizeof *wanted; index++)
    /* A kernel before 4.20 does not know all three, and answers all the same, only less exactly. */
    if (setsockopt(fd, SOL_NETLINK, wanted[index], &on, sizeof on) != 0 && errno != ENOPROTOOPT) return abandon(fd);
  if (!set_receive_buffer(fd, (int)buffer) || bind(fd, (struct sockaddr *)&any, sizeof any) != 0) return abandon(fd);
  return adopt(call->environment, fd, NETLINK);
}

int64_t op_netlink_join(struct call *call) {
  int64_t group;
  int number, fd = own(call, 0);
  if (fd < 0) return fd;
  if (kind_of(call, fd) != NETLINK || !take_integer(call, 1, 1, INT32_MAX, &group)) return -EINVAL;
  number = (int)group;
  return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, sizeof number) == 0 ? 0 : -errno;
}

/* Not filed: the ends are handed to Node's streams and child processes, which close them. */
int64_t op_open_pipe(struct call *call) {
  struct bytes room;
  int ends[2];
  if (!take_bytes(call, 0, sizeof ends, sizeof ends, &room)) return -EINVAL;
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  memcpy(room.data, ends, sizeof ends);
  return 0;
}

int64_t op_attach_filter(struct call *call) {
  struct sock_fprog program;
  struct bytes bytes;
  int fd = own(call, 0);
  if (fd < 0) return fd;
  if (!take_bytes(call, 1, sizeof(struct sock_filter), LARGEST_FILTER * sizeof(struct sock_filter), &bytes))
    return -EINVAL;
  if (bytes.length % sizeof(struct sock_filter) != 0) return -EINVAL;
  program.len = (unsigned short)(bytes.length / sizeof(struct sock_filter));
  program.filter = (struct sock_filter *)(void *)bytes.data;
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0 : -errno;
}

int64_t op_dropped(struct call *call) {
  uint32_t memory[SK_MEMINFO_VARS];
  socklen_t size = sizeof memory;
  int fd = own(call, 0);
  if (fd < 0) return fd;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) != 0) return -errno;
  return size > SK_MEMINFO_DROPS * sizeof *memory ? (int64_t)memory[SK_MEMINFO_DROPS] : -ENOTSUP;
}
