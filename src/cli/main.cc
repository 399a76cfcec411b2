// The program's entry: options, then set-up, then the program.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "cli/addresses.hh"
#include "cli/commands.hh"
#include "cli/control_run.hh"
#include "cli/options.hh"
#include "cli/program.hh"
#include "cli/slirp4netns.hh"
#include "setup/posix.hh"
#include "setup/setup.hh"
#include "setup/stderr_log.hh"

namespace {

using namespace sf;
using cli::Program;

setup::NetworkSettings network_settings(const cli::Config& config) {
  const link::Network network = cli::make_network(config);
  setup::NetworkSettings settings;
  settings.tap.name = config.tap_name;
  // slirp4netns without -c leaves all of it to others, as they expect.
  const bool untouched = config.slirp4netns && !config.configure;
  if (!untouched) settings.tap.mtu = config.mtu;
  settings.tap.mac = config.mac;
  settings.tap.offload = config.offload;
  settings.tap.queues = Program::threads(config);
  settings.tap.keep_existing = !config.configure;
  settings.configure = config.configure;
  settings.bring_up = !untouched;
  settings.advertised_ipv6 = config.slirp4netns;
  settings.guest4 = network.guest4;
  settings.prefix4 = network.prefix4;
  settings.gateway4 = network.gateway4;
  settings.ipv6 = network.ipv6;
  settings.guest6 = cli::guest6(config);
  settings.prefix6 = network.prefix6;
  settings.router6 = link::kRouterLinkLocal;
  return settings;
}

// A path cannot be taken for a process id.
std::string attach_target(const cli::Config& config) {
  const bool plain =
      config.target_kind == cli::TargetKind::path && config.target.find('/') == std::string::npos;
  return (plain ? "./" : "") + config.target;
}

// `own`: descriptors that are to stay open; -1 is none.
Result<setup::Inside> start_inside(const cli::Config& config, const setup::SignalState& signals,
                                   std::vector<int> own, const Log& log) {
  const setup::NetworkSettings network = network_settings(config);
  const setup::HelperSettings helpers{config.confined, std::move(own)};
  if (config.target_kind == cli::TargetKind::tap_descriptor)
    return setup::start_adopted(config.tap_fd, config.offload);
  if (config.target_kind == cli::TargetKind::bess) {
    // Where the peer is has to be learnt from what it sends.
    setup::TapDevice socket;
    socket.name = "bess";
    socket.mac = MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    return setup::Inside(std::move(socket));
  }
  if (config.command == cli::Command::attach) {
    return setup::start_attached(network, attach_target(config), config.userns_path,
                                 config.slirp4netns ? std::nullopt : std::optional(helpers), log);
  }
  if (config.command == cli::Command::path) return setup::start_path(network, config.target, helpers, log);
  setup::GuestSettings guest;
  guest.network = network;
  guest.helpers = helpers;
  guest.command = config.guest_command;
  guest.pid_namespace = config.namespaces.pid;
  guest.ipc_namespace = config.namespaces.ipc;
  guest.uts_namespace = config.namespaces.uts;
  guest.cgroup_namespace = config.namespaces.cgroup;
  if (config.dns) {
    const link::Network addresses = cli::make_network(config);
    guest.name_servers = {addresses.dns4};
    if (config.ipv6) guest.name_servers.push_back(addresses.dns6);
  }
  return setup::start_guest(guest, signals, log);
}

int run(cli::Config config, const setup::SignalState& signals) {
  setup::MessageForm form;
  form.json = config.log_format == cli::LogFormat::json;
  if (config.slirp4netns) {
    form.program = "slirp4netns";
    form.warning = "WARNING";
  }
  const Log log(config.log_level, setup::message_sink(STDERR_FILENO, form));
  for (const std::string& warning : config.warnings) log.warning("{}", warning);
  for (const auto& [option, fd] :
       {std::pair("--ready-fd", config.ready_fd), std::pair("--exit-fd", config.exit_fd)}) {
    if (fd >= 0 && !setup::is_open(fd)) {
      log.error("{} '{}': is not an open descriptor; have the caller open it, as with {}>FILE in a shell",
                option, fd, fd);
      return config.slirp4netns ? cli::kExitFailure : cli::kExitUsage;
    }
  }
  setup::fill_missing_streams();
  if (const auto prepared = Program::prepare(config); !prepared) {
    log.error("{}", prepared.error().message);
    return cli::kExitFailure;
  }
  auto policy_file = Program::check_policy(config);
  if (!policy_file) {
    log.error("{}", policy_file.error().message);
    return cli::kExitFailure;
  }
  auto flow_log = Program::open_flow_log(config);
  if (!flow_log) {
    log.error("{}", flow_log.error().message);
    return cli::kExitFailure;
  }
  auto inside = start_inside(config, signals,
                             {config.ready_fd, config.exit_fd, *policy_file ? (*policy_file)->fd() : -1,
                              *flow_log ? (*flow_log)->fd() : -1},
                             log);
  if (!inside) {
    log.error("{}", inside.error().message);
    return cli::kExitFailure;
  }
  auto source = setup::SignalSource::open();
  if (!source) {
    log.error("{}", source.error().message);
    return cli::kExitFailure;
  }
  auto status = Program(config, log, *inside, *source, *policy_file, *std::move(flow_log)).run();
  if (!status) {
    log.error("{}", status.error().message);
    return cli::kExitFailure;
  }
  return *status;
}

cli::Environment environment() {
  const char* shell = std::getenv("SHELL");
  return {std::getenv("CONFIGURE_NETWORK") != nullptr, shell != nullptr ? shell : ""};
}

int show(const cli::ShowText& show) {
  return std::fputs(show.text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : cli::kExitFailure;
}

int wrong_usage(const Error& error) {
  std::fputs(fmt::format("slirp-forwarder: {}\n", error.message).c_str(), stderr);
  return cli::kExitUsage;
}

int wrong_slirp4netns_usage(const Error& error) {
  std::fputs(fmt::format("slirp4netns: {}\n", error.message).c_str(), stderr);
  std::fputs(cli::slirp4netns_usage().c_str(), stdout);
  return cli::kExitFailure;
}

cli::TopSettings terminal_settings() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  cli::TopSettings settings{.term = variable("TERM"), .no_color = !variable("NO_COLOR").empty()};
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string locale = variable(name);
    if (locale.empty()) continue;
    settings.utf8 = locale.find("UTF-8") != std::string::npos || locale.find("utf8") != std::string::npos;
    break;
  }
  return settings;
}

// ls, port, flows: about instances that run already.
int run_control_words(const std::vector<std::string>& words) {
  const auto options = cli::parse_control(words);
  if (!options) return wrong_usage(options.error());
  if (const auto* text = std::get_if<cli::ShowText>(&*options)) return show(*text);
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const cli::Outcome outcome = cli::run_control(
      std::get<cli::ControlCommand>(*options),
      runtime != nullptr ? std::optional<std::string>(runtime) : std::nullopt, terminal_settings());
  const int shown = show({outcome.out});
  std::fputs(outcome.errors.c_str(), stderr);
  return outcome.status != 0 ? outcome.status : shown;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what is thrown is want of memory, and that ends the program
int main(int argc, char** argv) {
  const bool slirp4netns = argc > 0 && sf::cli::is_slirp4netns(argv[0]);
  const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (!slirp4netns && !words.empty() && sf::cli::is_control_word(words[0])) return run_control_words(words);
  const sf::setup::SignalState signals = sf::setup::take_signals();
  auto options =
      slirp4netns ? sf::cli::parse_slirp4netns(words) : sf::cli::parse_options(words, environment());
  if (!options) {
    return slirp4netns ? wrong_slirp4netns_usage(options.error()) : wrong_usage(options.error());
  }
  if (const auto* text = std::get_if<sf::cli::ShowText>(&*options)) return show(*text);
  return run(std::get<sf::cli::Config>(*std::move(options)), signals);
}
