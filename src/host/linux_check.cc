// What can be known at the start about the options: later, every connection would fail by it.
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

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
