// A FlowWatch that writes down what it is told.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/flow_events.hh"

namespace sf::base {

class RecordedFlows final : public FlowWatch {
 public:
  struct Told {
    FlowEvent event;
    std::string name;
    std::string server_name;
  };

  FlowNotes begin(const Address&, Time now) override {
    FlowNotes notes;
    notes.id = ++ids;
    notes.opened = now;
    notes.name = name;
    return notes;
  }
  void on_flow(const FlowEvent& event) override {
    told.push_back({event, std::string(event.name), std::string(event.server_name)});
    told.back().event.name = told.back().event.server_name = {};
  }
  void on_dns_answer(Bytes answer) override { answers.emplace_back(answer.begin(), answer.end()); }
  std::string name_of(const Address&) const override { return name; }

  // "opened", "ended": what was told since the last time, without the details.
  std::vector<std::pair<FlowEvent::Kind, FlowCause>> take() {
    std::vector<std::pair<FlowEvent::Kind, FlowCause>> all;
    for (const Told& one : std::exchange(told, {})) all.emplace_back(one.event.kind, one.event.cause);
    return all;
  }

  std::string name;
  std::uint64_t ids = 0;
  std::vector<Told> told;
  std::vector<std::vector<std::uint8_t>> answers;
};

}  // namespace sf::base
