// The records of a flow log, as record.hh has written them, read again.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>

#include "base/address.hh"
#include "base/result.hh"
#include "policy/rule.hh"
#include "wire/function_ref.hh"

namespace sf::flowlog {

struct ReadRecord {
  enum class Kind : std::uint8_t { opened, refused, audited, ended, dropped };
  Kind kind = Kind::opened;
  std::string time;
  std::uint64_t id = 0;
  bool question = false;  // about a DNS question; else about a flow of
  policy::Protocol protocol = policy::Protocol::tcp;
  bool inbound = false;
  bool forwarder = false;
  bool audited = false;
  bool others = false;  // about many flows together; no remote end
  Endpoint guest;
  Endpoint remote;
  std::string name;         // a host name as policies have it, or empty
  std::string server_name;  // the same
  std::string reason;
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
  std::uint64_t count = 0;  // dropped
};

struct ReadSummary {
  std::uint64_t records = 0;
  bool cut = false;  // the last line has no end, and was left out
};

// Shows every record to `visit`. An Error is one line: "NAME:LINE: expected ..., not ...".
[[nodiscard]] Result<ReadSummary> read_records(std::istream& log, std::string_view name,
                                               wire::FunctionRef<void(const ReadRecord&)> visit);

}  // namespace sf::flowlog
