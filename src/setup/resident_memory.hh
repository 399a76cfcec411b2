// How much memory of this process is resident, also once it sees no files any more: the descriptor is opened
// before.
#pragma once

#include <cstdint>
#include <optional>

#include "base/unique_fd.hh"

namespace sf::setup {

class ResidentMemory {
 public:
  ResidentMemory();

  // Absent where /proc is not there.
  [[nodiscard]] std::optional<std::uint64_t> bytes() const;

 private:
  UniqueFd statm_;
  std::uint64_t page_ = 0;
};

}  // namespace sf::setup
