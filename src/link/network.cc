#include "link/network.hh"

#include <algorithm>

namespace sf::link {

Route Network::route(const Address& destination) const {
  const bool v4 = destination.is_v4();
  if (destination.is_multicast() || destination.is_broadcast()) return {Route::Kind::ignored, {}};
  if (destination == gateway(v4)) {
    if (host_loopback) return {Route::Kind::host, v4 ? kLoopback4 : kLoopback6};
    return {Route::Kind::gateway, {}};
  }
  if (destination == (v4 ? dns4 : dns6)) {
    if (dns) return {Route::Kind::dns, {}};
    return {silent_without_dns ? Route::Kind::ignored : Route::Kind::unreachable, {}};
  }
  if (destination == kRouterLinkLocal) return {Route::Kind::gateway, {}};
  if (std::ranges::find(kMetadataServices, destination) != kMetadataServices.end()) {
    return metadata ? Route{Route::Kind::host, destination} : Route{Route::Kind::unreachable, {}};
  }
  // connect() to an unspecified address reaches the host's loopback, and so it must never pass.
  if (destination.is_loopback() || destination.is_unspecified() || destination.is_link_local() ||
      (v4 && (destination.to_v4() >> 24) == 0)) {
    return {Route::Kind::unreachable, {}};
  }
  if (v4 && destination == prefix4.v4_broadcast()) return {Route::Kind::ignored, {}};
  if ((v4 ? prefix4 : prefix6).contains(destination)) return {Route::Kind::unreachable, {}};
  return {Route::Kind::host, destination};
}

Address Network::seen_by_guest(const Address& host_source) const {
  return host_source.is_loopback() ? gateway(host_source.is_v4()) : host_source;
}

bool Network::is_guest_source(const Address& source) const {
  if (is_ours(source) || source.is_multicast() || source.is_unspecified()) return false;
  if (source.is_v4()) return prefix4.contains(source) && source != prefix4.v4_broadcast();
  return prefix6.contains(source) || source.is_link_local();
}

}  // namespace sf::link
