// What can be known at the start about the options: later, every connection would fail by it.
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "host/linux_address.hh"
#include "host/linux_host.hh"

namespace sf::host {
namespace {

Result<void> check_address(const Address& address, const char* option) {
  const SocketAddress name(Endpoint{address, 0});
  const UniqueFd probe(::socket(name.get()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe) {
    return fail("{} {}: opening a socket to try the address failed: {}", option, address.to_string(),
                std::strerror(errno));
  }
  if (::bind(probe.get(), name.get(), name.size()) == 0) return {};
  return fail("{} {}: binding to the address failed: {}; it has to be an address of this host (see: ip addr)",
              option, address.to_string(), std::strerror(errno));
}

std::optional<Address> address4_of(const std::string& interface) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET || interface != entry->ifa_name)
      continue;
    return endpoint_from(entry->ifa_addr, sizeof(sockaddr_in)).address;
  }
  return std::nullopt;
}

// Of the kernel's list, because getifaddrs(3) does not tell which ones are deprecated. A line is
// "20010db8000100000000000000000001 02 40 00 80 eth0": address, index, prefix, scope, flags, name; in hex.
std::optional<Address> address6_of(const std::string& interface) {
  constexpr unsigned kUnusable = IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TENTATIVE;
  std::ifstream list("/proc/net/if_inet6");
  std::string digits, name;
  unsigned index = 0, prefix = 0, scope = 0, flags = 0;
  while (list >> digits >> std::hex >> index >> prefix >> scope >> flags >> name) {
    std::string text;
    for (std::size_t at = 0; at < digits.size(); at += 4) text += (at > 0 ? ":" : "") + digits.substr(at, 4);
    const auto address = Address::parse(text);
    if (name == interface && address && scope == RT_SCOPE_UNIVERSE && (flags & kUnusable) == 0)
      return address;
  }
  return std::nullopt;
}

}  // namespace

Result<Address> address_of_interface(const std::string& interface, bool v4) {
  const char* option = v4 ? "--outbound-addr" : "--outbound-addr6";
  if (::if_nametoindex(interface.c_str()) == 0) {
    return fail("{} {}: is neither an address nor an interface of this host (see: ip addr)", option,
                interface);
  }
  const auto found = v4 ? address4_of(interface) : address6_of(interface);
  if (found) return *found;
  return fail("{} {}: the interface has no IPv{} address that is good for a source (see: ip addr)", option,
              interface, v4 ? 4 : 6);
}

Result<void> check_options(const HostOptions& options) {
  if (options.outbound4) {
    if (auto ok = check_address(*options.outbound4, "--outbound-addr"); !ok) return ok;
  }
  if (options.outbound6) {
    if (auto ok = check_address(*options.outbound6, "--outbound-addr6"); !ok) return ok;
  }
  const std::string& name = options.outbound_interface;
  if (!name.empty() && ::if_nametoindex(name.c_str()) == 0) {
    return fail(
        "--outbound-if {}: looking the interface up failed: {}; it has to be an interface of this host (see: "
        "ip "
        "link)",
        name, std::strerror(errno));
  }
  return {};
}

}  // namespace sf::host
