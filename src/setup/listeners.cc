#include "setup/listeners.hh"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "setup/netlink.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

constexpr std::uint16_t kFirstClientPort = 32768;  // where the range cannot be read

struct Collected {
  std::vector<Listener>* listeners;
  bool tcp;
  std::uint32_t below;
};

Address address_of(const inet_diag_msg& message) {
  if (message.idiag_family == AF_INET) return Address::v4(ntohl(message.id.idiag_src[0]));
  std::array<std::uint8_t, Address::kSize> bytes{};
  std::memcpy(bytes.data(), message.id.idiag_src, bytes.size());
  return Address::v6(bytes);
}

bool is_v6_only(const nlmsghdr* header) {
  bool only = false;
  const auto* attribute =
      static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof(inet_diag_msg)));
  const auto left = [&] {
    return static_cast<int>(static_cast<const char*>(mnl_nlmsg_get_payload_tail(header)) -
                            reinterpret_cast<const char*>(attribute));
  };
  for (; mnl_attr_ok(attribute, left()); attribute = mnl_attr_next(attribute)) {
    if (mnl_attr_get_type(attribute) == INET_DIAG_SKV6ONLY) only = mnl_attr_get_u8(attribute) != 0;
  }
  return only;
}

int collect(const nlmsghdr* header, void* data) {
  const auto* collected = static_cast<const Collected*>(data);
  if (mnl_nlmsg_get_payload_len(header) < sizeof(inet_diag_msg)) return MNL_CB_OK;
  const auto* message = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(header));
  const std::uint16_t port = ntohs(message->id.idiag_sport);
  if (port == 0 || port >= collected->below) return MNL_CB_OK;
  Listener listener{collected->tcp, false, {address_of(*message), port}};
  listener.both_versions = message->idiag_family == AF_INET6 && listener.at.address.is_unspecified() &&
                           listener.at.address.is_v6() && !is_v6_only(header);
  collected->listeners->push_back(listener);
  return MNL_CB_OK;
}

int dump(Netlink& netlink, bool tcp, int family, Collected collected) {
  alignas(NLMSG_ALIGNTO) std::array<char, 256> bytes{};
  nlmsghdr* header = mnl_nlmsg_put_header(bytes.data());
  header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  auto* request =
      static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
  request->sdiag_family = static_cast<std::uint8_t>(family);
  request->sdiag_protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
  // A UDP socket without a peer is in the state that TCP calls closed.
  request->idiag_states = 1U << (tcp ? TCP_LISTEN : TCP_CLOSE);
  return netlink.transact(header, collect, &collected);
}

std::uint16_t first_client_port() {
  const auto text = read_text("/proc/sys/net/ipv4/ip_local_port_range");
  std::uint16_t first = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), first).ec != std::errc{}) {
    return kFirstClientPort;
  }
  return first;
}

}  // namespace

Result<std::vector<Listener>> find_listeners() {
  auto netlink = Netlink::open(NETLINK_SOCK_DIAG);
  if (!netlink) return tl::unexpected(netlink.error());
  std::vector<Listener> found;
  for (const bool tcp : {true, false}) {
    const std::uint32_t below = tcp ? 0x10000U : first_client_port();
    for (const int family : {AF_INET, AF_INET6}) {
      const int error = dump(*netlink, tcp, family, {&found, tcp, below});
      // A kernel without IPv6, or without the module for UDP, has no such sockets to tell of.
      if (error == 0 || (error == ENOENT && !(tcp && family == AF_INET))) continue;
      return fail(
          "cannot find out who listens inside: sock_diag: {}; load the kernel modules tcp_diag and inet_diag",
          reason(error));
    }
  }
  std::ranges::sort(found);
  const auto repeated = std::ranges::unique(found);
  found.erase(repeated.begin(), repeated.end());
  return found;
}

std::string describe(const std::vector<Listener>& listeners, std::size_t most) {
  std::string text;
  for (const Listener& listener : listeners) {
    const std::string line =
        fmt::format("{}{} {} {}\n", listener.tcp ? "tcp" : "udp", listener.both_versions ? "+" : "",
                    listener.at.port, listener.at.address.to_string());
    if (text.size() + line.size() > most) break;
    text += line;
  }
  return text;
}

std::vector<Listener> parse_listeners(std::string_view text) {
  std::vector<Listener> found;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t port_at = line.find(' ') + 1;
    const std::size_t address_at = line.find(' ', port_at) + 1;
    if (port_at == 0 || address_at == 0) continue;
    if (!line.starts_with("tcp") && !line.starts_with("udp")) continue;
    Listener listener;
    listener.tcp = line.starts_with("tcp");
    listener.both_versions = line[port_at - 2] == '+';
    const auto address = Address::parse(line.substr(address_at));
    const char* const digits_end = line.data() + address_at - 1;
    const auto [stop, error] = std::from_chars(line.data() + port_at, digits_end, listener.at.port);
    if (!address || error != std::errc{} || stop != digits_end || listener.at.port == 0) continue;
    listener.at.address = *address;
    found.push_back(listener);
  }
  return found;
}

}  // namespace sf::setup
