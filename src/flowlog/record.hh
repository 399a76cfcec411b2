// One record of a flow log, and its text: a JSON object on a line.
//
//     {"time":"2026-11-25T12:00:00.000123Z","event":"ended","id":7,"protocol":"tcp","inbound":false,
//      "guest_addr":"10.0.2.100","guest_port":40000,"remote_addr":"192.0.2.1","remote_port":443,
//      "name":"example.com","server_name":"example.com","reason":"finished","bytes_from_guest":517, …}
//
// What is not known has no key.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/flow_events.hh"

namespace sf::flowlog {

// Of names; longer ones are cut. With all that may have to be escaped a line stays below kMaxLine.
inline constexpr std::size_t kMaxName = 255;
inline constexpr std::size_t kMaxLine = 4096;

struct Record {
  Record() = default;
  explicit Record(const FlowEvent& of);

  FlowEvent event;  // its views are empty: the names are here
  std::string name;
  std::string server_name;
};

[[nodiscard]] std::string_view to_string(FlowEvent::Kind kind);
[[nodiscard]] std::string_view to_string(FlowProtocol protocol);
[[nodiscard]] std::string_view to_string(FlowCause cause);

// Appends the line, its end included. `epoch` is when the event's clock was zero, since 1970.
void append_line(std::string& out, const Record& record, std::chrono::nanoseconds epoch);
// The line that says that `count` records are missing.
void append_dropped(std::string& out, std::uint64_t count, std::chrono::nanoseconds since_1970);

}  // namespace sf::flowlog
