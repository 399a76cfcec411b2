// --publish auto: what listens inside is published on the host's loopback, under the same port, and taken
// away again when it stops.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/log.hh"
#include "control/instance.hh"
#include "setup/listeners.hh"

namespace sf::cli {

class AutoPorts {
 public:
  // Both outlive it.
  AutoPorts(control::Instance& instance, const Log& log) : instance_(instance), log_(log) {}

  // All that listens inside now. A port that cannot be published is tried again when that changes next; it is
  // said once.
  void on_listeners(const std::vector<setup::Listener>& listeners);

 private:
  // A port of the host's loopback, by IP version.
  struct Key {
    bool tcp = true;
    bool v4 = true;
    std::uint16_t port = 0;
    auto operator<=>(const Key&) const = default;
  };
  // Where it leads: to the guest's loopback where no address is given.
  using Wanted = std::map<Key, std::optional<Address>>;
  struct Published {
    std::optional<Address> guest;
    engine::PublishId id = 0;
  };

  [[nodiscard]] static Wanted wanted(const std::vector<setup::Listener>& listeners);
  void publish(const Key& key, const std::optional<Address>& guest,
               const std::vector<engine::PublishedPort>& others);

  control::Instance& instance_;
  const Log& log_;
  std::map<Key, Published> published_;
  std::set<Key> refused_;  // and said so
};

}  // namespace sf::cli
