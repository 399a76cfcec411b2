// rtnetlink(7), as much of it as a new namespace needs. One request at a time; each waits for the kernel's
// answer. A Netlink works on the network namespace in which it was opened.
#pragma once

#include <libmnl/libmnl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/result.hh"

namespace sf::setup {

struct LinkChange {
  std::optional<std::uint32_t> mtu;
  std::optional<MacAddress> mac;
  std::optional<std::uint32_t> queue_length{};  // frames; txqueuelen
  bool up = false;
};

// Where the IPv6 addresses of a link are on their way through duplicate address detection (RFC 4862
// section 5.4).
struct Ipv6State {
  bool link_local = false;  // there is a usable link-local address
  bool global = false;      // there is a usable address of larger scope
  bool tentative = false;   // some address is not usable yet
};

class Netlink {
 public:
  [[nodiscard]] static Result<Netlink> open(int protocol = NETLINK_ROUTE);

  [[nodiscard]] Result<unsigned> link_index(const std::string& name);
  [[nodiscard]] Result<MacAddress> link_mac(unsigned index);
  [[nodiscard]] Result<void> set_link(unsigned index, const LinkChange& change);
  // Moves the link to the namespace of `netns_fd`, where it is down and may have another index.
  [[nodiscard]] Result<void> move_link(unsigned index, const std::string& name, int netns_fd);
  // An IPv6 address comes without duplicate address detection: nobody else is on this link.
  [[nodiscard]] Result<void> add_address(unsigned index, const Address& address, const Prefix& prefix);
  [[nodiscard]] Result<void> add_default_route(unsigned index, const Address& gateway);
  [[nodiscard]] Result<Ipv6State> ipv6_state(unsigned index);

  // For requests that have no method here: 0, or the errno with which the kernel refused. Messages other than
  // the acknowledgement go to `each`.
  int transact(nlmsghdr* request, mnl_cb_t each = nullptr, void* data = nullptr);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  explicit Netlink(mnl_socket* socket) : socket_(socket) {}

  std::unique_ptr<mnl_socket, Close> socket_;
  unsigned sequence_ = 0;
};

}  // namespace sf::setup
