#include "setup/netlink.hh"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

constexpr std::size_t kRequestSize = 512;  // above the largest request that is built here

// A request's buffer. libmnl aligns within it.
struct Request {
  alignas(NLMSG_ALIGNTO) std::array<char, kRequestSize> bytes{};
  nlmsghdr* header = nullptr;

  Request(std::uint16_t type, int flags) {
    header = mnl_nlmsg_put_header(bytes.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  }
  template <typename Extra>
  Extra* extra() {
    return static_cast<Extra*>(mnl_nlmsg_put_extra_header(header, sizeof(Extra)));
  }
  void put(int attribute, const void* data, std::size_t size) const {
    mnl_attr_put(header, static_cast<std::uint16_t>(attribute), size, data);
  }
  void put_u32(int attribute, std::uint32_t value) const {
    mnl_attr_put_u32(header, static_cast<std::uint16_t>(attribute), value);
  }
  void put_address(int attribute, const Address& address) const {
    const Bytes bytes_of_address = address.wire_bytes();
    put(attribute, bytes_of_address.data(), bytes_of_address.size());
  }
};

unsigned char family_of(const Address& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

int collect_mac(const nlmsghdr* header, void* data) {
  auto* mac = static_cast<MacAddress*>(data);
  for (const nlattr* attribute =
           static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof(ifinfomsg)));
       mnl_attr_ok(attribute, static_cast<int>(static_cast<const char*>(mnl_nlmsg_get_payload_tail(header)) -
                                               reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute)) {
    if (mnl_attr_get_type(attribute) == IFLA_ADDRESS &&
        mnl_attr_get_payload_len(attribute) == mac->bytes.size()) {
      std::memcpy(mac->bytes.data(), mnl_attr_get_payload(attribute), mac->bytes.size());
    }
  }
  return MNL_CB_OK;
}

struct StateOf {
  unsigned index = 0;
  Ipv6State state;
};

int collect_state(const nlmsghdr* header, void* data) {
  auto* result = static_cast<StateOf*>(data);
  const auto* message = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
  if (message->ifa_index != result->index) return MNL_CB_OK;
  const bool tentative =
      (message->ifa_flags & IFA_F_TENTATIVE) != 0 && (message->ifa_flags & IFA_F_OPTIMISTIC) == 0;
  if (tentative) {
    result->state.tentative = true;
  } else if (message->ifa_scope == RT_SCOPE_LINK) {
    result->state.link_local = true;
  } else {
    result->state.global = true;
  }
  return MNL_CB_OK;
}

}  // namespace

Result<Netlink> Netlink::open(int protocol) {
  mnl_socket* socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
  if (socket == nullptr) return fail("cannot open a netlink socket: {}", reason(errno));
  Netlink netlink(socket);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
    return fail("cannot bind a netlink socket: {}", reason(errno));
  return netlink;
}

int Netlink::transact(nlmsghdr* request, mnl_cb_t each, void* data) {
  request->nlmsg_seq = ++sequence_;
  const unsigned port = mnl_socket_get_portid(socket_.get());
  if (mnl_socket_sendto(socket_.get(), request, request->nlmsg_len) < 0) return errno;
  alignas(NLMSG_ALIGNTO) std::array<char, 16384> answer{};
  for (;;) {
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), answer.data(), answer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    const int verdict =
        mnl_cb_run(answer.data(), static_cast<std::size_t>(got), request->nlmsg_seq, port, each, data);
    if (verdict < 0) return errno;
    if (verdict == MNL_CB_STOP) return 0;
  }
}

Result<unsigned> Netlink::link_index(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return fail("cannot find the interface '{}': {}", name, reason(errno));
  return index;
}

Result<MacAddress> Netlink::link_mac(unsigned index) {
  Request request(RTM_GETLINK, NLM_F_ACK);
  request.extra<ifinfomsg>()->ifi_index = static_cast<int>(index);
  MacAddress mac;
  const int error = transact(request.header, collect_mac, &mac);
  if (error != 0) return fail("cannot read the MAC address of the TAP: {}", reason(error));
  return mac;
}

Result<void> Netlink::set_link(unsigned index, const LinkChange& change) {
  Request request(RTM_NEWLINK, NLM_F_ACK);
  auto* link = request.extra<ifinfomsg>();
  link->ifi_index = static_cast<int>(index);
  if (change.up) link->ifi_flags = link->ifi_change = IFF_UP;
  if (change.mtu) request.put_u32(IFLA_MTU, *change.mtu);
  if (change.mac) request.put(IFLA_ADDRESS, change.mac->bytes.data(), change.mac->bytes.size());
  if (change.queue_length) request.put_u32(IFLA_TXQLEN, *change.queue_length);
  const int error = transact(request.header);
  if (error == 0) return {};
  return fail("cannot set {} of an interface inside: {}; this needs CAP_NET_ADMIN in the namespace",
              change.mac   ? "MAC and MTU"
              : change.mtu ? "the MTU"
                           : "the state",
              reason(error));
}

Result<void> Netlink::move_link(unsigned index, const std::string& name, int netns_fd) {
  Request request(RTM_NEWLINK, NLM_F_ACK);
  request.extra<ifinfomsg>()->ifi_index = static_cast<int>(index);
  request.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
  const int error = transact(request.header);
  if (error == 0) return {};
  if (error == EEXIST) {
    return fail(
        "cannot create the TAP '{}': the namespace has an interface of this name; choose another one with "
        "--tap-name",
        name);
  }
  return fail("cannot move the TAP '{}' into the namespace: {}; this needs CAP_NET_ADMIN in it", name,
              reason(error));
}

Result<void> Netlink::add_address(unsigned index, const Address& address, const Prefix& prefix) {
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  auto* message = request.extra<ifaddrmsg>();
  message->ifa_family = family_of(address);
  message->ifa_prefixlen = prefix.length;
  message->ifa_index = index;
  message->ifa_scope = RT_SCOPE_UNIVERSE;
  if (address.is_v6()) message->ifa_flags = IFA_F_NODAD;
  request.put_address(IFA_LOCAL, address);
  request.put_address(IFA_ADDRESS, address);
  if (address.is_v4()) request.put_address(IFA_BROADCAST, prefix.v4_broadcast());
  const int error = transact(request.header);
  if (error == 0) return {};
  return fail("cannot set the address {}/{} inside: {}{}", address.to_string(), prefix.length, reason(error),
              address.is_v6() ? "; where the kernel has no IPv6, add --no-ipv6" : "");
}

Result<void> Netlink::add_default_route(unsigned index, const Address& gateway) {
  Request request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  auto* message = request.extra<rtmsg>();
  message->rtm_family = family_of(gateway);
  message->rtm_table = RT_TABLE_MAIN;
  message->rtm_protocol = RTPROT_STATIC;
  message->rtm_scope = RT_SCOPE_UNIVERSE;
  message->rtm_type = RTN_UNICAST;
  request.put_address(RTA_GATEWAY, gateway);
  request.put_u32(RTA_OIF, index);
  const int error = transact(request.header);
  if (error == 0) return {};
  return fail("cannot set the default route by {} inside: {}", gateway.to_string(), reason(error));
}

Result<Ipv6State> Netlink::ipv6_state(unsigned index) {
  Request request(RTM_GETADDR, NLM_F_DUMP);
  request.extra<ifaddrmsg>()->ifa_family = AF_INET6;
  StateOf result{index, {}};
  const int error = transact(request.header, collect_state, &result);
  if (error != 0) return fail("cannot read the IPv6 addresses inside: {}", reason(error));
  return result.state;
}

}  // namespace sf::setup
