#include "cli/control_run.hh"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/capture_run.hh"
#include "cli/documents.hh"
#include "cli/flow_rates.hh"
#include "cli/policy_items.hh"
#include "cli/port_names.hh"
#include "cli/printable.hh"
#include "cli/replies.hh"
#include "cli/tables.hh"
#include "control/client.hh"
#include "control/directory.hh"
#include "control/requests.hh"
#include "flowlog/suggest.hh"
#include "policy/file.hh"
#include "setup/reread_file.hh"

namespace sf::cli {
namespace {

using control::FoundInstance;
using Action = ControlCommand::Action;
using Json = nlohmann::json;

Result<std::vector<FoundInstance>> running_instances(const std::optional<std::string>& xdg_runtime_dir) {
  const auto directory = control::instance_directory(xdg_runtime_dir);
  if (!directory) {
    return fail(
        "cannot look for instances: XDG_RUNTIME_DIR is not set, and there is no directory of this user's in "
        "/run/user; set it as it was when they were started");
  }
  return control::find_instances(*directory);
}

std::string request_text(const char* execute, const Json& arguments = Json::object()) {
  // What is not UTF-8 is nothing that the instance knows.
  return Json{{"execute", execute}, {"arguments", arguments}}.dump(-1, ' ', false,
                                                                   Json::error_handler_t::replace);
}

// The socket of one instance, and how messages call it.
class Peer {
 public:
  explicit Peer(const FoundInstance& instance)
      : path_(instance.path), name_(fmt::format("instance {}", printable(instance.pid))) {}

  [[nodiscard]] Result<std::vector<PortReply>> publish(const std::string& rule, bool loopback) const {
    Json arguments{{"port", rule}};
    if (loopback) arguments["loopback"] = true;
    return ask(read_ports, "publish", arguments);
  }
  [[nodiscard]] Result<std::vector<PortReply>> unpublish(std::uint64_t id) const {
    return ask(read_ports, "unpublish", {{"id", id}});
  }
  [[nodiscard]] Result<std::vector<PortReply>> ports() const { return ask(read_ports, "list_published"); }
  [[nodiscard]] Result<PolicyReply> policy(const char* execute,
                                           const Json& arguments = Json::object()) const {
    return ask(read_policy, execute, arguments);
  }
  [[nodiscard]] Result<FlowsReply> flows() const {
    return ask(read_flows, "list_flows", {{"limit", control::kMaxFlowsListed}});
  }

 private:
  template <typename Reply>
  [[nodiscard]] Result<Reply> ask(Result<Reply> (*read)(std::string_view, std::string_view),
                                  const char* execute, const Json& arguments = Json::object()) const {
    const auto reply = control::request(path_, request_text(execute, arguments));
    if (!reply) return fail("{}", printable(reply.error().message));
    return read(name_, *reply);
  }

  std::string path_;
  std::string name_;
};

Outcome failed(const Error& error) {
  return {.errors = fmt::format("slirp-forwarder: {}\n", error.message), .status = kExitFailure};
}

Outcome list_instances(const ControlCommand& command, const std::vector<FoundInstance>& running) {
  std::vector<std::string> paths;
  paths.reserve(running.size());
  for (const FoundInstance& one : running) paths.push_back(one.path);
  const auto replies = control::request_all(paths, request_text("info"), kListTimeout);
  std::vector<ListedInstance> listed;
  std::vector<UnansweredInstance> unanswered;
  Outcome outcome;
  for (std::size_t i = 0; i < running.size(); ++i) {
    const auto& [pid, path] = running[i];
    auto info = replies[i] ? read_info(fmt::format("instance {}", pid), *replies[i])
                           : Result<InfoReply>(tl::unexpected(replies[i].error()));
    if (info) {
      listed.push_back({pid, path, *std::move(info)});
      continue;
    }
    // One that has ended meanwhile is no longer one.
    const control::Answers now = control::probe(path);
    if (now == control::Answers::refused || now == control::Answers::absent) continue;
    const std::string error = printable(info.error().message);
    unanswered.push_back({pid, path, error});
    outcome.errors += fmt::format("slirp-forwarder: {}\n", error);
    outcome.status = kExitFailure;
  }
  outcome.out = command.json ? instances_document(listed, unanswered) : instances_table(listed);
  return outcome;
}

// All rules or none: what was published before one that fails is taken back.
Outcome add_ports(const ControlCommand& command, const Peer& peer) {
  // One that does not answer must not do later what this command has then said to have failed.
  if (const auto awake = peer.ports(); !awake) return failed(awake.error());
  std::vector<PortReply> added;
  for (const std::string& rule : command.ports) {
    auto ports = peer.publish(rule, command.loopback);
    if (ports) {
      added.insert(added.end(), ports->begin(), ports->end());
      continue;
    }
    std::string message = ports.error().message;
    for (const PortReply& port : added) {
      if (peer.unpublish(port.id)) continue;
      message += fmt::format("; and {} stays published, which could not be taken back", printable(port.port));
      break;
    }
    return failed({message});
  }
  return {.out = command.json ? ports_document(added) : port_lines(added)};
}

Outcome remove_ports(const ControlCommand& command, const Peer& peer) {
  const auto published = peer.ports();
  if (!published) return failed(published.error());
  const auto ports = find_ports(*published, command.ports);
  if (!ports) return failed(ports.error());
  for (const PortReply& port : *ports) {
    if (const auto removed = peer.unpublish(port.id); !removed) return failed(removed.error());
  }
  return {.out = command.json ? ports_document(*ports) : port_lines(*ports)};
}

Outcome list_ports(const ControlCommand& command, const Peer& peer) {
  const auto ports = peer.ports();
  if (!ports) return failed(ports.error());
  return {.out = command.json ? ports_document(*ports) : ports_table(*ports)};
}

Outcome list_flows(const ControlCommand& command, const Peer& peer) {
  control::Interval interval(command.interval);
  const auto before = peer.flows();
  if (!before) return failed(before.error());
  interval.wait();
  auto after = peer.flows();
  // cppcheck-suppress identicalConditionAfterEarlyExit; asked again, it has another answer
  if (!after) return failed(after.error());
  const FlowRows flows = with_rates(*before, *std::move(after), command.limit);
  return {.out = command.json ? flows_document(flows) : flows_table(flows)};
}

Outcome shown(const ControlCommand& command, const Result<PolicyReply>& reply) {
  if (!reply) return failed(reply.error());
  return {.out = command.json ? policy_document(*reply) : policy_lines(*reply)};
}

// Read here, as the instance may see no files any more.
Outcome set_policy(const ControlCommand& command, const Peer& peer) {
  const auto file = setup::RereadFile::open(command.file);
  if (!file) return failed({printable(file.error().message)});
  const auto text = file->read(policy::kMaxPolicyFile);
  if (!text) return failed({printable(text.error().message)});
  const Json arguments{{"name", command.file}, {"text", *text}};
  if (request_text("set_policy", arguments).size() > control::kMaxRequest) {
    return failed(
        {fmt::format("cannot send {}: it is larger than {} bytes; start the instance with --policy, and send "
                     "it SIGHUP",
                     printable(command.file), control::kMaxRequest)});
  }
  return shown(command, peer.policy("set_policy", arguments));
}

// All of them are checked before the first one counts. The last one goes first: each is put before all
// others.
Outcome insert_rules(const ControlCommand& command, const Peer& peer) {
  const auto action = command.allow ? policy::Action::allow : policy::Action::deny;
  const char* word = command.allow ? "allow" : "deny";
  for (const std::string& text : command.rules) {
    const auto rule = parse_rule_option(word, action, text);
    if (!rule) return failed({printable(rule.error().message)});
  }
  Result<PolicyReply> reply = PolicyReply{};
  for (auto text = command.rules.rbegin(); text != command.rules.rend() && reply; ++text) {
    reply = peer.policy("insert_rule", {{"action", word}, {"rule", *text}});
  }
  return shown(command, reply);
}

// Not over a file that is there: somebody may have worked on it.
Outcome write_new(const std::string& path, const std::string& text) {
  std::FILE* const file = std::fopen(path.c_str(), "wxe");
  if (file == nullptr) {
    return failed({fmt::format("making the file {} failed: {}; give --output a name that is new",
                               printable(path), std::strerror(errno))});
  }
  // Closing may be what fails, over a network.
  bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
  int error = errno;
  if (std::fclose(file) != 0 && written) {
    written = false;
    error = errno;
  }
  if (written) return {};
  static_cast<void>(std::remove(path.c_str()));  // half a policy is none
  return failed(
      {fmt::format("writing {} failed: {}; free some space", printable(path), std::strerror(error))});
}

Outcome suggest_policy(const ControlCommand& command) {
  const bool is_stream = command.file == "-";
  std::ifstream file;
  if (!is_stream) {
    file.open(command.file);
    if (!file) {
      return failed({fmt::format("opening {} failed: {}; name a file that --flow-log has written",
                                 printable(command.file), std::strerror(errno))});
    }
  }
  const std::string name = is_stream ? "standard input" : printable(command.file);
  auto text = flowlog::suggest_policy(is_stream ? std::cin : file, name);
  if (!text) return failed(text.error());
  if (!command.output.empty()) return write_new(command.output, *text);
  return {.out = *std::move(text)};
}

}  // namespace

Outcome run_control(const ControlCommand& command, const std::optional<std::string>& xdg_runtime_dir,
                    const TopSettings& terminal) {
  if (command.action == Action::policy_suggest) return suggest_policy(command);
  std::vector<FoundInstance> running;
  if (!command.instance || command.instance->find('/') == std::string::npos) {
    auto found = running_instances(xdg_runtime_dir);
    if (!found) return failed(found.error());
    running = *std::move(found);
  }
  if (command.action == Action::ls) return list_instances(command, running);
  if (command.action == Action::top && !command.instance && running.size() > 1) {
    return run_top(running, command.interval, terminal);
  }
  const auto instance = choose_instance(running, command.instance);
  if (!instance) return failed(instance.error());
  const Peer peer(*instance);
  switch (command.action) {
    case Action::ls:
    case Action::policy_suggest:
      break;
    case Action::port_add:
      return add_ports(command, peer);
    case Action::port_rm:
      return remove_ports(command, peer);
    case Action::port_ls:
      return list_ports(command, peer);
    case Action::flows:
      return list_flows(command, peer);
    case Action::top:
      return run_top({*instance}, command.interval, terminal);
    case Action::capture:
      return run_capture(command, *instance);
    case Action::policy_show:
      return shown(command, peer.policy("policy"));
    case Action::policy_set:
      return set_policy(command, peer);
    case Action::policy_insert:
      return insert_rules(command, peer);
    case Action::policy_reset:
      return shown(command, peer.policy("reset_policy"));
  }
  return {};
}

}  // namespace sf::cli
