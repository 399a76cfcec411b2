#include "cli/program.hh"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/piece_pool.hh"
#include "cli/addresses.hh"
#include "cli/confinement.hh"
#include "cli/instance.hh"
#include "cli/metrics_service.hh"
#include "control/capture.hh"
#include "control/directory.hh"
#include "control/publish_syntax.hh"
#include "control/server.hh"
#include "flowlog/seen_names.hh"
#include "host/waker.hh"
#include "policy/file.hh"

namespace sf::cli {
namespace {

constexpr unsigned kSpareSockets = 16;

// Every flow has a socket: the soft limit is there for programs that use select(2), and we do not.
host::Descriptors raise_descriptor_limit(unsigned threads) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  // Failing, the old limit holds.
  const bool raised = setrlimit(RLIMIT_NOFILE, &limit) == 0;
  return host::Descriptors::of(raised ? limit.rlim_max : before, threads);
}

// The addresses by which the guest reaches the host's own loopback.
std::vector<policy::LoopbackAlias> loopback_aliases(const Config& config) {
  if (!config.host_loopback) return {};
  const link::Network network = make_network(config);
  return {{network.gateway4, link::kLoopback4}, {network.gateway6, link::kLoopback6}};
}

// Pieces that are let go go back to the system at once, instead of staying in the heap.
void return_memory_early() {
  static_cast<void>(mallopt(M_MMAP_THRESHOLD, kPieceSize));
  static_cast<void>(mallopt(M_TRIM_THRESHOLD, 2 * kPieceSize));
  // One heap for all threads, which allocate little: trimming that of a thread would open a file of /proc,
  // which a confined process cannot.
  static_cast<void>(mallopt(M_ARENA_MAX, 1));
}

control::Captures::Hooks capture_hooks(Workers& workers, const host::Waker& waker,
                                       control::Captures& captures) {
  return {.unix_time = host::unix_time,
          .wake = [&waker] { waker.wake(); },
          .use =
              [&workers, &captures](bool used) {
                workers.visit_all([onlooker = used ? &captures : nullptr](unsigned, engine::Shard& shard) {
                  shard.set_onlooker(onlooker);
                });
              }};
}

// What was dropped and why, for whoever looks into it; never per packet.
void log_drops(const engine::ShardStats& stats, const Log& log) {
  if (!log.enabled(LogLevel::debug)) return;
  log.debug("frames from the guest: {}", stats.frames_from_guest);
  for (std::size_t i = 0; i < stats.drops.size(); ++i) {
    if (stats.drops[i] == 0) continue;
    log.debug("dropped, {}: {}", wire::to_string(static_cast<wire::DropReason>(i)), stats.drops[i]);
  }
}

}  // namespace

Result<int> Program::run() {
  const host::Descriptors descriptors = raise_descriptor_limit(Program::threads(config_));
  return_memory_early();
  auto devices = open_devices();
  if (!devices) return tl::unexpected(devices.error());
  const engine::GuestEnd guest{inside_.tap().mac, configured_guest6(config_)};
  const auto key = random_key();
  if (!key) return tl::unexpected(key.error());
  // Outlives the workers, which ask its gate.
  PolicyControl policy(
      config_.policy, [this] { return policy_file_->read(policy::kMaxPolicyFile); },
      loopback_aliases(config_), *key, log_);
  if (auto loaded = policy.load(); !loaded) return tl::unexpected(loaded.error());
  const std::size_t shards = devices->size();
  // Outlives all that has something to record: what they say at their end is written.
  const auto flow_log = make_flow_log(shards, *key);
  flowlog::SeenNames names(*key);  // where there is no flow log, which has its own
  auto workers = Workers::create(*std::move(devices),
                                 {.shard = {make_network(config_),
                                            {},
                                            {},
                                            guest,
                                            {},
                                            &policy.gate(),
                                            config_.metrics.has_value(),
                                            nullptr,
                                            &names},
                                  .host = make_host_options(descriptors),
                                  .pcap_file = config_.pcap_file,
                                  .interface_name = inside_.tap().name,
                                  .flow_log = flow_log.get()},
                                 log_);
  if (!workers) return tl::unexpected(workers.error());
  host::EventLoop& loop = (*workers)->loop();

  // A spare socket holds the namespace, which is to end before the program where it is not run's own.
  host::LoopbackPorts loopback(
      loop,
      [this, &loopback](host::GuestSocketKind kind, unsigned count) {
        if (!inside_.ask_for_sockets({kind.stream, kind.v4, count})) loopback.on_sockets(kind, {});
      },
      config_.command == Command::run ? kSpareSockets : 0, {.descriptors = descriptors}, log_);
  const auto waker = host::Waker::create();
  if (!waker) return tl::unexpected(waker.error());
  control::Captures captures(inside_.tap().name, capture_hooks(**workers, *waker, captures));
  auto delivers = loop.watch(waker->fd(), [&waker, &captures] {
    waker->reset();
    captures.deliver();
  });
  if (!delivers) return tl::unexpected(delivers.error());
  if (flow_log != nullptr) loopback.set_watch(&flow_log->feed(static_cast<unsigned>(shards)));
  ShardInstance instance(**workers, loopback, policy, config_, std::to_string(::getpid()),
                         [&loop] { return loop.now(); });
  instance.set_captures(&captures);
  instance.set_flow_log(flow_log.get());
  if (const auto published = publish(instance); !published) return tl::unexpected(published.error());
  auto servers = serve(instance, loop);
  if (!servers) return tl::unexpected(servers.error());
  auto metrics = serve_metrics(instance, loop);
  if (!metrics) return tl::unexpected(metrics.error());
  AutoPorts auto_ports(instance, log_);
  if (const auto watched = watch(loop, loopback, auto_ports, policy); !watched)
    return tl::unexpected(watched.error());
  if (const auto begun = begin(**workers, flow_log.get()); !begun) return tl::unexpected(begun.error());
  const auto ended = (*workers)->run();
  log_drops((*workers)->stats(), log_);
  policy.gate().summarize();
  if (!ended) return tl::unexpected(ended.error());
  if (ended->link_gone && config_.command == Command::run && inside_.has_child()) {
    // This process holds CMD's namespace, so that the TAP ends before it only where somebody inside ends it.
    log_.warning("the TAP '{}' was deleted from inside: the command goes on without a network",
                 inside_.tap().name);
    const auto outlived = (*workers)->outlive_link();
    if (!outlived) return tl::unexpected(outlived.error());
    return outlived->exit_code;
  }
  return ended->link_gone ? 0 : ended->exit_code;
}

Result<void> Program::publish(control::Instance& instance) {
  for (const engine::PublishRule& rule : config_.publish) {
    const auto port = instance.publish(rule);
    if (!port) return tl::unexpected(port.error());
    if (rule.host_port == 0) log_.info("published {}", control::format_publish(port->rule));
  }
  return {};
}

// The socket that was asked for, which must be there, and the one by which this process is found.
Result<Program::Servers> Program::serve(control::Instance& instance, host::EventLoop& loop) {
  Servers servers;
  const auto add = [&](std::unique_ptr<control::Server> server) -> Result<void> {
    servers.push_back(std::move(server));
    return loop.watch(servers.back()->fd(), [server = servers.back().get()] { server->on_ready(); });
  };
  if (!config_.api_socket.empty()) {
    auto server = control::Server::open(config_.api_socket, instance);
    if (!server) return tl::unexpected(server.error());
    if (auto added = add(*std::move(server)); !added) return tl::unexpected(added.error());
  }
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const auto directory =
      control::instance_directory(runtime != nullptr ? std::optional<std::string>(runtime) : std::nullopt);
  if (!directory) return give_files(std::move(servers));
  // Nobody has asked for it: without it, 'slirp-forwarder ls' does not see this process, and that is all.
  auto listed = [&]() -> Result<void> {
    if (auto made = control::make_instance_directory(*directory); !made) return made;
    auto server =
        control::Server::open(control::own_instance_socket(*directory), instance, {.keep_answering = true});
    if (!server) return tl::unexpected(server.error());
    return add(*std::move(server));
  }();
  if (!listed) log_.debug("'slirp-forwarder ls' will not list this one: {}", listed.error().message);
  return give_files(std::move(servers));
}

Result<std::unique_ptr<control::MetricsServer>> Program::serve_metrics(const control::Instance& instance,
                                                                       host::EventLoop& loop) {
  if (!config_.metrics) return nullptr;
  auto server = cli::serve_metrics(*config_.metrics, instance, host::unix_time());
  if (!server) return server;
  if (config_.metrics->path.empty() && config_.metrics->at.port == 0) {
    log_.info("metrics are at http://{}/metrics", (*server)->address().to_string());
  }
  if (inside_.keeper() != nullptr) {
    if (auto file = (*server)->give_file()) keep(*std::move(file));
  }
  auto watched = loop.watch((*server)->fd(), [server = server->get()] { server->on_ready(); });
  if (!watched) return tl::unexpected(watched.error());
  return server;
}

// The files are removed by others, also where this process is killed.
Program::Servers Program::give_files(Servers servers) {
  if (inside_.keeper() == nullptr) return servers;
  for (const auto& server : servers) keep(server->give_file());
  return servers;
}

void Program::keep(control::SocketFile::Given file) {
  inside_.keep({std::move(file.folder), std::move(file.name), file.device, file.inode});
}

Result<void> Program::watch(host::EventLoop& loop, host::LoopbackPorts& loopback, AutoPorts& auto_ports,
                            PolicyControl& policy) {
  auto signals = loop.watch(signals_.fd(), [this, &loop, &policy] { on_signals(loop, policy); });
  if (!signals) return signals;
  if (inside_.has_child()) {
    auto watched = loop.watch(
        inside_.event_fd(), [this, &loop, &loopback, &auto_ports] { on_inside(loop, loopback, auto_ports); });
    if (!watched) return watched;
  }
  if (setup::Keeper* keeper = inside_.keeper()) {
    auto watched =
        loop.watch(keeper->fd(), [this, &loop, &loopback, fd = keeper->fd(), child = inside_.event_fd()] {
          const bool had_child = inside_.has_child();
          const setup::InsideEvent event = inside_.on_keeper();
          if (event.kind != setup::InsideEvent::Kind::ended) return;
          loop.unwatch(fd);
          if (had_child) loop.unwatch(child);
          on_end(loop, loopback, event.status);
        });
    if (!watched) return watched;
  }
  if (setup::TargetEnd* end = inside_.target_end()) {
    auto watched = loop.watch(end->fd(), [end, &loop] {
      if (end->has_ended()) loop.stop(0);
    });
    if (!watched) return watched;
  }
  if (config_.exit_fd < 0) return {};
  return loop.watch(config_.exit_fd, [&loop] { loop.stop(0); });
}

// All that the program has to open is open. From here on the child goes on, which takes it a few
// milliseconds: the native commands use them to confine themselves. Nothing that it sends is read before that
// is done, and --ready-fd is told after it.
Result<void> Program::begin(Workers& workers, flowlog::FlowLog* flow_log) {
  if (const setup::Keeper* keeper = inside_.keeper()) keeper->seal(config_.confined);
  if (!config_.slirp4netns) inside_.release();
  if (auto confined = confine(workers, flow_log); !confined) return confined;
  if (!config_.slirp4netns) return {};
  if (inside_.has_child()) {
    inside_.release();
  } else {
    tell_ready();
  }
  return {};
}

// A new user namespace takes a process of one thread, each thread has what the first one has left, and the
// filter, which holds for all that are there, does not allow to make more.
Result<void> Program::confine(Workers& workers, flowlog::FlowLog* flow_log) {
  if (policy_file_ && (config_.confined || config_.sandbox || config_.seccomp)) {
    if (auto held = policy_file_->hold(); !held) return held;
  }
  if (auto given_up = give_up_rights(config_, log_); !given_up) return given_up;
  if (auto started = workers.start(); !started) return started;
  if (flow_log != nullptr) {
    if (auto started = flow_log->start(); !started) return started;
  }
  return filter_system_calls(config_, log_);
}

void Program::reload_policy(PolicyControl& policy) {
  const auto loaded = policy.reload();
  if (loaded) {
    log_.info("policy: read {} again", config_.policy.file);
  } else {
    log_.error("policy: {}; the old one stays", loaded.error().message);
  }
}

void Program::on_signals(host::EventLoop& loop, PolicyControl& policy) {
  while (const auto event = signals_.next()) {
    if (event->number == SIGHUP && event->from_process && !config_.policy.file.empty()) {
      reload_policy(policy);
    } else if (config_.command == Command::run) {
      if (setup::is_forwarded(*event)) inside_.forward(event->number);
    } else if (event->number == SIGINT || event->number == SIGTERM) {
      loop.stop(0);
    } else if (event->number == SIGHUP || event->number == SIGQUIT) {
      loop.stop(128 + event->number);
    }
  }
}

// Once only: the number may be another file's after it was closed, and the message comes from inside.
void Program::tell_ready() {
  if (!ready_.first()) return;
  log_.debug("the network is ready");
  if (config_.ready_fd < 0) return;
  if (::write(config_.ready_fd, "1", 1) != 1) {
    log_.warning("telling --ready-fd {} that the network is ready failed: {}; the caller may go on waiting",
                 config_.ready_fd, std::strerror(errno));
  }
  ::close(config_.ready_fd);
}

void Program::on_inside(host::EventLoop& loop, host::LoopbackPorts& loopback, AutoPorts& auto_ports) {
  const int fd = inside_.event_fd();  // closed by its end
  setup::InsideEvent event = inside_.on_event();
  switch (event.kind) {
    case setup::InsideEvent::Kind::none:
      break;
    case setup::InsideEvent::Kind::ready:
      tell_ready();
      if (config_.publish_auto) inside_.watch_listeners();
      break;
    case setup::InsideEvent::Kind::sockets:
      loopback.on_sockets({event.request.stream, event.request.v4}, std::move(event.sockets), event.lost);
      break;
    case setup::InsideEvent::Kind::listeners:
      auto_ports.on_listeners(event.listeners);
      break;
    case setup::InsideEvent::Kind::failed:
      log_.warning("{}", event.text);
      break;
    case setup::InsideEvent::Kind::ended:
      loop.unwatch(fd);
      on_end(loop, loopback, event.status);
      break;
  }
}

void Program::on_end(host::EventLoop& loop, host::LoopbackPorts& loopback, int status) {
  loopback.on_no_more_sockets();
  if (config_.command == Command::run || status != 0) loop.stop(status);
}

}  // namespace sf::cli
