#include "cli/commands.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "cli/help.hh"
#include "cli/values.hh"
#include "control/requests.hh"

namespace sf::cli {
namespace {

using Action = ControlCommand::Action;

constexpr double kMinInterval = 0.1;
constexpr double kMaxInterval = 3600;

Result<Duration> parse_interval(std::string_view text) {
  double seconds = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, seconds, std::chars_format::fixed);
  if (error != std::errc{} || end != last || !(seconds >= kMinInterval && seconds <= kMaxInterval)) {
    return fail("--interval '{}': must be a number of seconds from {} to {}, such as 0.5", text, kMinInterval,
                kMaxInterval);
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

template <typename Number>
void add_number(CLI::App& app, const char* names, const char* type, std::uint32_t least, std::uint32_t most,
                Number& into, const std::string& text) {
  app.add_option(
         names,
         [&into, names, least, most](const CLI::results_t& values) {
           const std::string_view name = std::string_view(names).substr(std::string_view(names).rfind("--"));
           const auto number = parse_number(name, values.back(), least, most);
           if (!number) throw CLI::ValidationError(number.error().message);
           into = *number;
           return true;
         },
         text)
      ->type_name(type)
      ->expected(1)
      ->take_last();
}

void add_capture_options(CLI::App& app, ControlCommand& command) {
  app.option_defaults()->group("Output");
  app.add_option("-w,--write", command.file, "Where to record to, '-' for standard output (the default)")
      ->type_name("FILE")
      ->expected(1)
      ->take_last();
  add_number(app, "-s,--snapshot-length", "BYTES", 1, wire::pcapng::kMaxSnapLength, command.snap_length,
             fmt::format("Record so much of each frame, 1 to {}", wire::pcapng::kMaxSnapLength));
  add_number(app, "-c,--count", "N", 1, std::numeric_limits<std::uint32_t>::max(), command.count,
             "End after that many frames");
}

void add_options(CLI::App& app, std::string_view word, ControlCommand& command) {
  app.set_help_flag("-h,--help", "Show this text");
  if (word == "capture") return add_capture_options(app, command);
  // CLI11 groups by what is current when an option is added.
  app.option_defaults()->group("Ports");
  if (word == "port") {
    app.add_flag("--loopback", command.loopback, "add: lead to the inside's 127.0.0.1 and ::1");
  }
  app.option_defaults()->group("Output");
  if (word == "flows" || word == "top") {
    app.add_option(
           "--interval",
           [&command](const CLI::results_t& values) {
             const auto interval = parse_interval(values.back());
             if (!interval) throw CLI::ValidationError(interval.error().message);
             command.interval = *interval;
             return true;
           },
           "How long rates are measured, 0.1 to 3600 (1)")
        ->type_name("SECONDS")
        ->expected(1)
        ->take_last();
  }
  if (word == "flows") {
    add_number(app, "--limit", "N", 1, std::uint32_t{control::kMaxFlowsListed}, command.limit,
               fmt::format("Show that many at most, 1 to {}", control::kMaxFlowsListed));
  }
  if (word == "top") return;
  if (word == "policy") {
    app.add_option("--output", command.output, "suggest: a new file for the policy")
        ->type_name("FILE")
        ->expected(1)
        ->take_last();
  }
  app.add_flag("--json", command.json, "One JSON document, with exact numbers");
}

// The words that are no options.
Result<std::vector<std::string>> plain_words(const CLI::App& app, std::string_view command) {
  std::vector<std::string> left = app.remaining();
  const auto mark = std::ranges::find(left, "--");
  for (auto word = left.begin(); word != mark; ++word) {
    if (word->size() > 1 && word->front() == '-') {
      return fail("'{}': is not an option here; see slirp-forwarder {} --help", *word, command);
    }
  }
  if (mark != left.end()) left.erase(mark);
  return left;
}

Result<void> take_port_words(ControlCommand& command, std::vector<std::string> words) {
  constexpr std::string_view kForms =
      "port add INSTANCE RULE..., port rm INSTANCE RULE|ID... or port ls [INSTANCE]";
  if (words.empty()) return fail("what to do with ports is missing: {}", kForms);
  const std::string action = words.front();
  words.erase(words.begin());
  if (action != "add" && action != "rm" && action != "ls") {
    return fail("port '{}': is neither add, rm nor ls; the forms are {}", action, kForms);
  }
  if (command.loopback && action != "add") return fail("--loopback: is for port add alone");
  if (action == "ls") {
    command.action = Action::port_ls;
    if (words.size() > 1) return fail("'{}': is one word too many; the form is port ls [INSTANCE]", words[1]);
    if (!words.empty()) command.instance = words[0];
    return {};
  }
  // Not left out here: a lone number could be either.
  command.action = action == "add" ? Action::port_add : Action::port_rm;
  const std::string_view what = action == "add" ? "RULE" : "RULE|ID";
  if (words.empty()) return fail("INSTANCE is missing; the form is port {} INSTANCE {}...", action, what);
  command.instance = words[0];
  command.ports.assign(words.begin() + 1, words.end());
  if (command.ports.empty()) {
    return fail("{} is missing; the form is port {} INSTANCE {}...", what, action, what);
  }
  return {};
}

Result<void> take_policy_words(ControlCommand& command, std::vector<std::string> words) {
  constexpr std::string_view kForms =
      "policy [INSTANCE [show]], policy INSTANCE set FILE, policy INSTANCE allow|deny RULE..., policy "
      "INSTANCE reset and policy suggest FLOWLOG [--output FILE]";
  command.action = Action::policy_show;
  if (!words.empty() && words[0] == "suggest") {
    command.action = Action::policy_suggest;
    if (words.size() == 1) return fail("FLOWLOG is missing; the forms are {}", kForms);
    if (words.size() > 2) return fail("'{}': is one word too many; the forms are {}", words[2], kForms);
    if (command.json) return fail("--json: there is none of a policy file; leave it out");
    command.file = words[1];
    return {};
  }
  if (!command.output.empty()) return fail("--output: is for policy suggest alone");
  if (words.empty()) return {};
  command.instance = words[0];
  if (words.size() == 1) return {};
  const std::string& action = words[1];
  const std::vector<std::string> rest(words.begin() + 2, words.end());
  std::size_t most = 0;
  if (action == "set") {
    command.action = Action::policy_set;
    most = 1;
    if (rest.empty()) return fail("FILE is missing; the forms are {}", kForms);
    command.file = rest[0];
  } else if (action == "allow" || action == "deny") {
    command.action = Action::policy_insert;
    command.allow = action == "allow";
    command.rules = rest;
    if (rest.empty()) return fail("RULE is missing; the forms are {}", kForms);
    return {};
  } else if (action == "reset") {
    command.action = Action::policy_reset;
  } else if (action != "show") {
    return fail("policy '{}': is neither show, set, allow, deny nor reset; the forms are {}", action, kForms);
  }
  if (rest.size() > most) return fail("'{}': is one word too many; the forms are {}", rest[most], kForms);
  return {};
}

Result<void> take_capture_words(ControlCommand& command, const std::vector<std::string>& words) {
  command.action = Action::capture;
  if (words.empty()) return fail("INSTANCE is missing; the form is capture INSTANCE [FILTER]");
  command.instance = words[0];
  command.filter = fmt::format("{}", fmt::join(words.begin() + 1, words.end(), " "));
  return {};
}

Result<void> take_words(ControlCommand& command, std::string_view word, std::vector<std::string> words) {
  if (word == "capture") return take_capture_words(command, words);
  if (word == "port") return take_port_words(command, std::move(words));
  if (word == "policy") return take_policy_words(command, std::move(words));
  command.action = word == "ls" ? Action::ls : word == "top" ? Action::top : Action::flows;
  const std::size_t most = command.action == Action::ls ? 0 : 1;
  if (words.size() > most) {
    return fail("'{}': is one word too many; see slirp-forwarder {} --help", words[most], word);
  }
  if (!words.empty()) command.instance = words[0];
  return {};
}

}  // namespace

bool is_control_word(std::string_view word) {
  constexpr std::array<std::string_view, 6> kWords{"ls", "port", "flows", "top", "policy", "capture"};
  return std::ranges::find(kWords, word) != kWords.end();
}

Result<ControlOptions> parse_control(const std::vector<std::string>& words) {
  const std::string& word = words.front();
  ControlCommand command;
  CLI::App app;
  add_options(app, word, command);
  app.allow_extras();
  app.failure_message(CLI::FailureMessage::simple);
  try {
    std::vector<std::string> reversed(words.begin() + 1, words.end());  // CLI11 takes them from the back
    std::ranges::reverse(reversed);
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return ShowText{control_help_text(word, option_lines(app))};
  } catch (const CLI::ParseError& error) {
    return fail("{}", error.what());
  }
  auto left = plain_words(app, word);
  if (!left) return tl::unexpected(left.error());
  if (auto taken = take_words(command, word, *std::move(left)); !taken) return tl::unexpected(taken.error());
  return command;
}

}  // namespace sf::cli
