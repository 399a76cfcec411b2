// Frames of no use: malformed ones, TCP segments of no connection with any flags, and a guest's everyday
// questions to its network. Nothing is expected of them but that they do no harm.
#pragma once

#include "sim/guest.hh"

namespace sf::sim {

class Noise {
 public:
  Noise(World& world, const Plan& plan, SimLink& link);
  Noise(const Noise&) = delete;
  Noise& operator=(const Noise&) = delete;

 private:
  void malformed();
  void chaos();
  void service(std::uint32_t which);
  [[nodiscard]] Frame valid_frame();
  [[nodiscard]] Frame random_segment();
  [[nodiscard]] Addressing addressing(bool v4) const;

  World& world_;
  const Plan& plan_;
  SimLink& link_;
};

}  // namespace sf::sim
