// How many file descriptors connections and listeners may take. The rest is kept for what has to go on when
// they have all of theirs: queries to name servers, the control socket, sockets from inside.
//
// The kernel gives the lowest number that is free. So a number from the limit on tells that none below is
// free, whoever in this process has them.
#pragma once

#include <cstdint>
#include <limits>

namespace sf::host {

struct Descriptors {
  int limit = std::numeric_limits<int>::max();  // numbers below are for anybody

  // `fd` is one of those kept back.
  [[nodiscard]] bool kept_back(int fd) const { return fd >= limit; }
  // The number that the next one will have; none: -1. Two system calls.
  [[nodiscard]] int next() const;
  // Of a process that may have `most`, and has so many threads that move packets.
  [[nodiscard]] static Descriptors of(std::uint64_t most, unsigned threads);
};

}  // namespace sf::host
