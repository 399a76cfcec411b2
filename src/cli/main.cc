// The program's entry: options, then set-up, then the program.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cli/addresses.hh"
#include "cli/commands.hh"
#include "cli/control_run.hh"
#include "cli/options.hh"
#include "cli/program.hh"
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
  settings.tap.mtu = config.mtu;
  settings.tap.mac = config.mac;
  settings.configure = config.configure;
  settings.guest4 = network.guest4;
  settings.prefix4 = network.prefix4;
  settings.gateway4 = network.gateway4;
  settings.ipv6 = network.ipv6;
  settings.guest6 = cli::guest6(config);
  settings.prefix6 = network.prefix6;
  settings.router6 = link::kRouterLinkLocal;
  return settings;
}

Result<setup::Inside> start_inside(const cli::Config& config, const setup::SignalState& signals,
                                   const Log& log) {
  const setup::NetworkSettings network = network_settings(config);
  if (config.command == cli::Command::attach) {
    return setup::start_attached(network, config.target, config.userns_path, log);
  }
  if (config.command == cli::Command::path) return setup::start_path(network, config.target, log);
  setup::GuestSettings guest;
  guest.network = network;
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

int run(const cli::Config& config, const setup::SignalState& signals) {
  const Log log(config.log_level, setup::stderr_sink(config.log_format == cli::LogFormat::json));
  for (const auto& [option, fd] :
       {std::pair("--ready-fd", config.ready_fd), std::pair("--exit-fd", config.exit_fd)}) {
    if (fd >= 0 && !setup::is_open(fd)) {
      log.error("{} '{}': is not an open descriptor; have the caller open it, as with {}>FILE in a shell",
                option, fd, fd);
      return cli::kExitUsage;
    }
  }
  if (const auto checked = Program::check(config); !checked) {
    log.error("{}", checked.error().message);
    return cli::kExitFailure;
  }
  auto inside = start_inside(config, signals, log);
  if (!inside) {
    log.error("{}", inside.error().message);
    return cli::kExitFailure;
  }
  auto source = setup::SignalSource::open();
  if (!source) {
    log.error("{}", source.error().message);
    return cli::kExitFailure;
  }
  auto status = Program(config, log, *inside, *source).run();
  if (!status) {
    log.error("{}", status.error().message);
    return cli::kExitFailure;
  }
  return *status;
}

int show(const cli::ShowText& show) {
  return std::fputs(show.text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0 ? 0 : cli::kExitFailure;
}

int wrong_usage(const Error& error) {
  std::fputs(fmt::format("slirp-forwarder: {}\n", error.message).c_str(), stderr);
  return cli::kExitUsage;
}

// ls, port, flows: about instances that run already.
int run_control_words(const std::vector<std::string>& words) {
  const auto options = cli::parse_control(words);
  if (!options) return wrong_usage(options.error());
  if (const auto* text = std::get_if<cli::ShowText>(&*options)) return show(*text);
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const cli::Outcome outcome =
      cli::run_control(std::get<cli::ControlCommand>(*options),
                       runtime != nullptr ? std::optional<std::string>(runtime) : std::nullopt);
  const int shown = show({outcome.out});
  std::fputs(outcome.errors.c_str(), stderr);
  return outcome.status != 0 ? outcome.status : shown;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && sf::cli::is_control_word(argv[1])) return run_control_words({argv + 1, argv + argc});
  const sf::setup::SignalState signals = sf::setup::take_signals();
  const char* shell = std::getenv("SHELL");
  const sf::cli::Environment environment{std::getenv("CONFIGURE_NETWORK") != nullptr,
                                         shell != nullptr ? shell : ""};
  auto options = sf::cli::parse_options({argv + 1, argv + argc}, environment);
  if (!options) return wrong_usage(options.error());
  if (const auto* text = std::get_if<sf::cli::ShowText>(&*options)) return show(*text);
  return run(std::get<sf::cli::Config>(*options), signals);
}
