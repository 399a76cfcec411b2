// Plants a bug between the stack and the world, and says which rules the run then finds broken.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "sim/frames.hh"
#include "sim/pass_through.hh"
#include "sim/scenario.hh"
#include "sim/simulation.hh"

namespace sf::sim {

// Rewrites TCP segments on their way, with right checksums. Needs a link without offloads.
class EditLink final : public PassLink {
 public:
  // What may be changed of a segment; the payload's length as well.
  using Edit = std::function<void(wire::TcpSegment& segment, FrameBytes& payload)>;

  EditLink(link::Link& real, Edit to_guest, Edit from_guest)
      : PassLink(real), to_guest_(std::move(to_guest)), from_guest_(std::move(from_guest)) {}

  [[nodiscard]] link::Status receive(MutBytes buffer, link::Frame& frame) override;
  [[nodiscard]] link::Status send(std::span<const Bytes> parts, const wire::Offload& offload) override;

 private:
  Edit to_guest_;
  Edit from_guest_;
};

[[nodiscard]] Sabotage edit_to_guest(EditLink::Edit edit);
[[nodiscard]] Sabotage edit_from_guest(EditLink::Edit edit);

// The rules that were found broken in a run against the real stack.
[[nodiscard]] std::set<std::string> broken_rules(const Plan& plan, const Sabotage& sabotage);

// With T derived from PassHost and so on, made anew for the run.
template <typename T>
[[nodiscard]] Sabotage host_bug() {
  Sabotage sabotage;
  sabotage.host = [](World&, host::Host& real) { return std::make_unique<T>(real); };
  return sabotage;
}
template <typename T>
[[nodiscard]] Sabotage reactor_bug() {
  Sabotage sabotage;
  sabotage.reactor = [](World&, host::Reactor& real) { return std::make_unique<T>(real); };
  return sabotage;
}
template <typename T>
[[nodiscard]] Sabotage link_bug() {
  Sabotage sabotage;
  sabotage.link = [](World&, link::Link& real) { return std::make_unique<T>(real); };
  return sabotage;
}

}  // namespace sf::sim
