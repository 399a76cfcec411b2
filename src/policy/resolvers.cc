// Public resolvers that answer over HTTPS, as of 2026. There are others: this keeps what clients choose by
// themselves from going around the DNS forwarder.
#include <algorithm>
#include <array>
#include <vector>

#include "policy/policy.hh"

namespace sf::policy {

bool is_known_resolver(const Address& address) {
  static const std::vector<Address> known = [] {
    constexpr std::array<std::string_view, 32> kText{"1.1.1.1",
                                                     "1.0.0.1",
                                                     "1.1.1.2",
                                                     "1.0.0.2",
                                                     "1.1.1.3",
                                                     "1.0.0.3",
                                                     "8.8.8.8",
                                                     "8.8.4.4",
                                                     "9.9.9.9",
                                                     "9.9.9.10",
                                                     "9.9.9.11",
                                                     "149.112.112.112",
                                                     "149.112.112.10",
                                                     "149.112.112.11",
                                                     "208.67.222.222",
                                                     "208.67.220.220",
                                                     "94.140.14.14",
                                                     "94.140.15.15",
                                                     "185.228.168.9",
                                                     "185.228.169.9",
                                                     "76.76.2.0",
                                                     "76.76.10.0",
                                                     "194.242.2.2",
                                                     "2606:4700:4700::1111",
                                                     "2606:4700:4700::1001",
                                                     "2001:4860:4860::8888",
                                                     "2001:4860:4860::8844",
                                                     "2620:fe::fe",
                                                     "2620:fe::9",
                                                     "2620:119:35::35",
                                                     "2620:119:53::53",
                                                     "2a10:50c0::ad1:ff"};
    std::vector<Address> addresses;
    addresses.reserve(std::size(kText));
    for (const std::string_view text : kText) addresses.push_back(Address::parse(text).value_or(Address{}));
    std::ranges::sort(addresses);
    return addresses;
  }();
  return std::ranges::binary_search(known, address);
}

bool is_known_resolver(std::string_view name) {
  constexpr std::array<std::string_view, 24> kNames{
      "dns.google", "dns64.dns.google", "cloudflare-dns.com", "one.one.one.one",
      "1dot1dot1dot1.cloudflare-dns.com", "mozilla.cloudflare-dns.com", "chrome.cloudflare-dns.com",
      "security.cloudflare-dns.com", "family.cloudflare-dns.com", "dns.quad9.net", "dns9.quad9.net",
      "dns10.quad9.net", "dns11.quad9.net", "doh.opendns.com", "dns.adguard-dns.com", "dns.nextdns.io",
      "doh.cleanbrowsing.org", "dns.mullvad.net", "freedns.controld.com",
      // Clients that get no answer for these leave name resolution to the system.
      "use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com",
      // Discovery of designated resolvers (RFC 9462).
      "resolver.arpa", "_dns.resolver.arpa"};
  return std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace sf::policy
