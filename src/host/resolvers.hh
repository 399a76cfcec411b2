// The host's name servers and search list, from resolv.conf(5).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.hh"

namespace sf::host {

struct Resolvers {
  std::vector<Endpoint>
      servers;  // in the file's order, at most kMaxServers; none in the file: 127.0.0.1 (as glibc)
  std::vector<std::string> search;  // the last `search` or `domain` line, at most kMaxSearch names

  static constexpr std::size_t kMaxServers = 8;
  static constexpr std::size_t kMaxSearch = 6;

  bool operator==(const Resolvers&) const = default;
};

// Never fails: what is not understood is passed over. A zone ("fe80::1%eth0") makes a server unusable and is
// skipped.
[[nodiscard]] Resolvers parse_resolv_conf(std::string_view text);

}  // namespace sf::host
