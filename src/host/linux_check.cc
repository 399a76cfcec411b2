// What can be known at the start about the options: later, every connection would fail by it.
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

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

}  // namespace

Result<Address> address_of_interface(const std::string& interface, bool v4) {
  const char* option = v4 ? "--outbound-addr" : "--outbound-addr6";
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) {
    return fail("{} {}: listing this host's addresses failed: {}", option, interface, std::strerror(errno));
  }
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  bool exists = false;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (interface != entry->ifa_name) continue;
    exists = true;
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != (v4 ? AF_INET : AF_INET6)) continue;
    const Address address =
        endpoint_from(entry->ifa_addr, v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)).address;
    if (!address.is_link_local()) return address;
  }
  return fail("{} {}: {} (see: ip addr)", option, interface,
              exists ? fmt::format("the interface has no IPv{} address", v4 ? 4 : 6)
                     : "is neither an address nor an interface of this host");
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
