#include "services/search_list.hh"

#include <array>

#include "wire/dns.hh"

namespace sf::services {

std::vector<std::string> usable_search(std::span<const std::string> search, std::size_t budget) {
  std::vector<std::string> usable;
  for (const std::string& name : search) {
    std::array<std::uint8_t, wire::kMaxDnsName> buffer{};
    Writer out{buffer};
    wire::write_dns_name(out, name);
    // One byte is the root alone, which a search list cannot mean.
    if (!out.ok() || out.offset() <= 1) continue;
    if (out.offset() > budget) break;
    budget -= out.offset();
    usable.push_back(name);
  }
  return usable;
}

}  // namespace sf::services
