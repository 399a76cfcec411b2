#include "host/descriptors.hh"

#include <sys/socket.h>

#include <algorithm>

#include "base/unique_fd.hh"

namespace sf::host {
namespace {

// Two control sockets with 16 clients each, and what is on its way from the process inside (32 at most).
constexpr std::uint64_t kKeptBack = 64;
constexpr std::uint64_t kKeptBackPerThread = 16;  // name servers' sockets
// Where few are allowed, connections get most of them all the same.
constexpr std::uint64_t kMostKeptBack = 4;  // a fourth

}  // namespace

int Descriptors::next() const {
  const UniqueFd probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return probe.get();
}

Descriptors Descriptors::of(std::uint64_t most, unsigned threads) {
  const std::uint64_t kept = std::min(most / kMostKeptBack, kKeptBack + threads * kKeptBackPerThread);
  constexpr std::uint64_t kInt = std::numeric_limits<int>::max();
  return {static_cast<int>(std::min(most - kept, kInt))};
}

}  // namespace sf::host
