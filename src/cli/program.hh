// What connects the engine to its two outsides and to the process: link, host, event loop, signals,
// descriptors.
#pragma once

#include <memory>
#include <vector>

#include "base/log.hh"
#include "base/result.hh"
#include "cli/auto_ports.hh"
#include "cli/config.hh"
#include "cli/policy_control.hh"
#include "cli/workers.hh"
#include "control/instance.hh"
#include "control/server.hh"
#include "flowlog/flow_log.hh"
#include "host/event_loop.hh"
#include "host/linux_host.hh"
#include "host/loopback_ports.hh"
#include "setup/reread_file.hh"
#include "setup/setup.hh"

namespace sf::cli {

class Program {
 public:
  // `inside` is ready to be released; all outlive the program.
  Program(const Config& config, const Log& log, setup::Inside& inside, const setup::SignalSource& signals,
          std::optional<setup::RereadFile>& policy_file, std::optional<flowlog::Output> flow_log)
      : config_(config),
        log_(log),
        inside_(inside),
        signals_(signals),
        policy_file_(policy_file),
        flow_output_(std::move(flow_log)) {}

  // The policy file, where there is one, and that it can be read and understood.
  [[nodiscard]] static Result<std::optional<setup::RereadFile>> check_policy(const Config& config);

  // Where the flow log goes, where there is one.
  [[nodiscard]] static Result<std::optional<flowlog::Output>> open_flow_log(const Config& config);
  // What can be known to be wrong before anything is made. Fills in the addresses of outbound interfaces.
  [[nodiscard]] static Result<void> prepare(Config& config);
  // How many threads are to move packets, as far as the options and this machine say.
  [[nodiscard]] static unsigned threads(const Config& config);
  // Moves packets until the end. Returns the exit status.
  [[nodiscard]] Result<int> run();

 private:
  using Servers = std::vector<std::unique_ptr<control::Server>>;

  [[nodiscard]] Result<void> publish(control::Instance& instance);
  [[nodiscard]] Result<Servers> serve(control::Instance& instance, host::EventLoop& loop);
  [[nodiscard]] Servers give_files(Servers servers);
  // The guest's side, a queue for each shard.
  [[nodiscard]] Result<std::vector<Workers::Device>> open_devices();
  [[nodiscard]] Result<void> watch(host::EventLoop& loop, host::LoopbackPorts& loopback,
                                   AutoPorts& auto_ports, PolicyControl& policy);
  [[nodiscard]] host::HostOptions make_host_options();
  // For as many shards, and for the main loop after them. Null: there is none.
  [[nodiscard]] std::unique_ptr<flowlog::FlowLog> make_flow_log(std::size_t shards, SipKey key);
  [[nodiscard]] Result<void> begin(Workers& workers, flowlog::FlowLog* flow_log);
  [[nodiscard]] Result<void> confine(Workers& workers, flowlog::FlowLog* flow_log);
  void on_signals(host::EventLoop& loop, PolicyControl& policy);
  void reload_policy(PolicyControl& policy);
  void on_inside(host::EventLoop& loop, host::LoopbackPorts& loopback, AutoPorts& auto_ports);
  void on_end(host::EventLoop& loop, host::LoopbackPorts& loopback, int status);
  void tell_ready();

  const Config& config_;
  const Log& log_;
  setup::Inside& inside_;
  const setup::SignalSource& signals_;
  std::optional<setup::RereadFile>& policy_file_;
  std::optional<flowlog::Output> flow_output_;
  Once ready_;
};

}  // namespace sf::cli
