// What instances answer, as plain data. The text comes from another process, at a path that somebody named:
// whatever is in it, reading it gives a value or an Error of one line. Strings in the values are as they
// came; printable.hh is for showing them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"

namespace sf::cli {

struct PortReply {
  std::uint64_t id = 0;
  std::string port;       // what RULE is
  std::string proto;      // tcp or udp
  std::string host_addr;  // empty: all
  std::uint16_t host_port = 0;
  std::string guest_addr;  // empty: its own
  std::uint16_t guest_port = 0;
  std::uint64_t accepted = 0;
  bool loopback = false;  // leads to the guest's loopback
};

struct InfoReply {
  std::string target;
  std::string version;
  std::uint64_t uptime_s = 0;
  std::string guest4;
  std::string prefix4;
  std::optional<std::string> guest6;
  std::uint64_t mtu = 0;
  std::uint64_t flows = 0;
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
  std::vector<PortReply> ports;
};

struct FlowReply {
  std::string protocol;
  bool inbound = false;
  std::string guest_addr;
  std::uint16_t guest_port = 0;
  std::string remote_addr;  // empty: anywhere
  std::uint16_t remote_port = 0;
  std::string state;
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
  std::optional<std::uint64_t> rtt_us;         // to the guest
  std::optional<std::uint64_t> remote_rtt_us;  // beyond the host
  std::string name{};                          // of the remote end, where the instance knows it
};

struct FlowsReply {
  std::uint64_t uptime_us = 0;  // when it was made
  std::uint64_t total = 0;      // all there are, listed or not
  std::vector<FlowReply> flows;
};

// How often, of what.
struct Counted {
  std::string what;
  std::uint64_t count = 0;
};

struct StatisticsReply {
  std::uint64_t flows = 0;
  std::uint64_t tcp_opened = 0;
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
  std::uint64_t frames_dropped = 0;
  std::vector<Counted> drops;  // by reason, those that there were; the most frequent first
  std::uint64_t refusals = 0;
  std::vector<Counted> refused;  // by target, some of them; the most frequent first
};

struct PolicyReply {
  struct Refused {
    std::string target;
    std::uint64_t count = 0;
  };
  bool active = false;
  std::vector<std::string> rules;
  bool audit = false;
  bool check_sni = false;
  std::string dns_refusal;
  std::uint64_t ttl_floor = 0;
  std::uint64_t refusals = 0;
  std::vector<Refused> refused;  // the most frequent first
};

// `who` names the instance in an Error. An error reply is an Error: the reason that the instance has given.
[[nodiscard]] Result<InfoReply> read_info(std::string_view who, std::string_view reply);
[[nodiscard]] Result<std::vector<PortReply>> read_ports(std::string_view who, std::string_view reply);
[[nodiscard]] Result<FlowsReply> read_flows(std::string_view who, std::string_view reply);
[[nodiscard]] Result<StatisticsReply> read_statistics(std::string_view who, std::string_view reply);
[[nodiscard]] Result<PolicyReply> read_policy(std::string_view who, std::string_view reply);
// One that says no.
[[nodiscard]] Error read_refusal(std::string_view who, std::string_view reply);

}  // namespace sf::cli
