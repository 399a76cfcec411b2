// What an instance says about its egress policy.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "policy/policy.hh"

namespace sf::control {

struct PolicyReport {
  bool active = false;
  policy::Settings settings{};
  std::vector<std::string> rules;
  std::uint64_t refusals = 0;
  std::vector<std::pair<std::string, std::uint64_t>> refused;  // the most frequent first
};

}  // namespace sf::control
