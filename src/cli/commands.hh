// The commands that find and drive running instances: words to a ControlCommand.
//
//     ls [--json]
//     port add [--loopback] [--json] INSTANCE RULE...
//     port rm [--json] INSTANCE RULE|ID...
//     port ls [--json] [INSTANCE]
//     flows [--interval SECONDS] [--limit N] [--json] [INSTANCE]
//     top [--interval SECONDS] [INSTANCE]
//     policy [--json] [INSTANCE [show]]
//     capture [-w FILE] [-s BYTES] [-c N] INSTANCE [FILTER...]
//     policy [--json] INSTANCE set FILE | allow RULE... | deny RULE... | reset
//     policy suggest FLOWLOG [--output FILE]
//
// control_run.hh carries them out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hh"
#include "base/time.hh"
#include "cli/options.hh"
#include "wire/pcapng.hh"

namespace sf::cli {

struct ControlCommand {
  enum class Action : std::uint8_t {
    ls,
    port_add,
    port_rm,
    port_ls,
    flows,
    top,
    capture,
    policy_show,
    policy_set,
    policy_insert,
    policy_reset,
    policy_suggest
  };
  Action action = Action::ls;
  std::optional<std::string> instance;  // absent: the only one there is
  std::vector<std::string> ports;       // never empty for port_add and port_rm
  std::string file;    // for policy_set and policy_suggest; for capture, empty or "-": standard output
  std::string output;  // for policy_suggest; empty: standard output
  std::string filter;  // for capture, as libpcap takes it; empty: all frames
  std::uint32_t snap_length = wire::pcapng::kMaxSnapLength;
  std::optional<std::uint64_t> count;  // of frames to capture
  std::vector<std::string> rules;      // for policy_insert: in this order before all others
  bool allow = false;                  // what they do
  bool loopback = false;
  bool json = false;
  Duration interval = 1s;
  std::optional<std::uint32_t> limit;  // of flows shown
};

using ControlOptions = std::variant<ControlCommand, ShowText>;

// `word` is the first one of a command line for parse_control().
[[nodiscard]] bool is_control_word(std::string_view word);

// `words` begin with such a word. An Error is one line; its exit status is kExitUsage.
[[nodiscard]] Result<ControlOptions> parse_control(const std::vector<std::string>& words);

}  // namespace sf::cli
