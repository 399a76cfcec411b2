// What the commands print with --json: one document, one line, ASCII alone.
#pragma once

#include <string>
#include <vector>

#include "cli/tables.hh"

namespace sf::cli {

struct UnansweredInstance {
  std::string pid;
  std::string socket;
  std::string error;
};

// {"instances":[...],"unanswered":[{"pid":1,"socket":"...","error":"..."}]}
[[nodiscard]] std::string instances_document(const std::vector<ListedInstance>& instances,
                                             const std::vector<UnansweredInstance>& unanswered);
// {"ports":[...]}
[[nodiscard]] std::string ports_document(const std::vector<PortReply>& ports);
// {"interval_us":...,"total":...,"flows":[...]}
[[nodiscard]] std::string flows_document(const FlowRows& flows);
[[nodiscard]] std::string policy_document(const PolicyReply& policy);

}  // namespace sf::cli
