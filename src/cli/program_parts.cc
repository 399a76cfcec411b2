// What Program::run() puts together, each made of the options.
#include <sched.h>

#include <algorithm>

#include "cli/addresses.hh"
#include "cli/program.hh"
#include "link/bess.hh"
#include "link/tap.hh"
#include "policy/file.hh"

namespace sf::cli {
namespace {

constexpr int kMostThreadsUnasked = 4;

link::Features features_of(const setup::TapOffloads& offloads) {
  return {.checksum = offloads.checksum,
          .tcp4_gso = offloads.tso4,
          .tcp6_gso = offloads.tso6,
          .big_tcp = offloads.tso4 && link::kernel_has_big_tcp(),
          .udp_gso = offloads.uso};
}

// Once, at the start. What only a newer kernel has is no fault of this one's, nor a TAP that somebody else
// has made.
void log_missing(const setup::TapDevice& device, const Log& log) {
  const setup::TapOffloads& on = device.offloads;
  if (!device.vnet_header) {
    log.debug("the TAP has no vnet header (IFF_VNET_HDR): no offloads, which costs speed");
  } else if (!on.checksum) {
    log.info(
        "the kernel refuses the offloads of the TAP (TUNSETOFFLOAD): going on without, which costs speed");
  } else if (!on.tso4 || !on.tso6) {
    log.info("the kernel refuses TCP segmentation over {} on the TAP: going on without, which costs speed",
             on.tso4 ? "IPv6" : "IPv4 and IPv6");
  } else if (!on.uso) {
    log.debug("no UDP segmentation on the TAP (Linux 6.2 has it)");
  }
  if (on.tso4 && !link::kernel_has_big_tcp()) log.debug("no TCP frames above 64 KiB (Linux 6.3 has them)");
}

host::HostOptions host_options(const Config& config, const Log* log = nullptr) {
  host::HostOptions options;
  options.offload = config.offload;
  options.log = log;
  options.outbound4 = config.outbound_address4;
  options.outbound6 = config.outbound_address6;
  options.outbound_interface = config.outbound_interface;
  options.dns = config.dns;
  for (const Address& server : config.dns_servers) options.dns_override.push_back({server, 53});
  return options;
}

}  // namespace

Result<void> Program::prepare(Config& config) {
  const auto look_up = [](const std::string& interface, bool v4,
                          std::optional<Address>& address) -> Result<void> {
    if (interface.empty()) return {};
    const auto found = host::address_of_interface(interface, v4);
    if (!found) return tl::unexpected(found.error());
    address = *found;
    return {};
  };
  if (auto found = look_up(config.outbound_address4_of, true, config.outbound_address4); !found) return found;
  if (auto found = look_up(config.outbound_address6_of, false, config.outbound_address6); !found)
    return found;
  return host::check_options(host_options(config));
}

Result<std::optional<setup::RereadFile>> Program::check_policy(const Config& config) {
  if (config.policy.file.empty()) return std::nullopt;
  auto file = setup::RereadFile::open(config.policy.file);
  if (!file) return tl::unexpected(file.error());
  const auto text = file->read(policy::kMaxPolicyFile);
  if (!text) return tl::unexpected(text.error());
  const auto made = make_policy(config.policy, PolicyText{config.policy.file, *text}, {});
  if (!made) return tl::unexpected(made.error());
  return std::optional(*std::move(file));
}

Result<std::optional<flowlog::Output>> Program::open_flow_log(const Config& config) {
  if (config.flow_log_fd < 0 && config.flow_log_file.empty()) return std::nullopt;
  auto output = config.flow_log_fd >= 0 ? flowlog::Output::adopt(config.flow_log_fd)
                                        : flowlog::Output::open(config.flow_log_file);
  if (!output) return tl::unexpected(output.error());
  return std::optional(*std::move(output));
}

std::unique_ptr<flowlog::FlowLog> Program::make_flow_log(std::size_t shards, SipKey key) {
  if (!flow_output_) return nullptr;
  const flowlog::FlowLog::Clocks clocks{host::monotonic_time, host::unix_time};
  return std::make_unique<flowlog::FlowLog>(*std::exchange(flow_output_, std::nullopt),
                                            static_cast<unsigned>(shards) + 1, clocks, key, log_);
}

unsigned Program::threads(const Config& config) {
  if (config.threads != 0) return config.threads;
  if (config.slirp4netns) return 1;  // as it is; many of them run side by side
  cpu_set_t mine;
  if (::sched_getaffinity(0, sizeof(mine), &mine) != 0) return 1;
  const int cpus = CPU_COUNT(&mine);
  return cpus <= 2 ? 1 : static_cast<unsigned>(std::min(cpus, kMostThreadsUnasked));
}

Result<std::vector<Workers::Device>> Program::open_devices() {
  std::vector<Workers::Device> devices;
  if (config_.target_kind == TargetKind::bess) {
    auto bess = link::Bess::listen(config_.target);
    if (!bess) return tl::unexpected(bess.error());
    const int fd = (*bess)->fd();
    devices.push_back({*std::move(bess), fd});
  } else {
    setup::TapDevice& device = inside_.tap();
    const link::Features features = features_of(device.offloads);
    if (config_.offload) log_missing(device, log_);
    for (UniqueFd& queue : device.queues) {
      auto tap = std::make_unique<link::Tap>(std::move(queue), device.vnet_header, features);
      const int fd = tap->fd();
      devices.push_back({std::move(tap), fd});
    }
  }
  if (config_.threads > devices.size()) {
    log_.info("--threads {}: '{}' has a single queue, so one thread moves all packets", config_.threads,
              inside_.tap().name);
  }
  return devices;
}

// Each shard's host has a copy: what it has seen of resolv.conf is its own.
host::HostOptions Program::make_host_options(const host::Descriptors& descriptors) {
  host::HostOptions options = host_options(config_, &log_);
  options.descriptors = descriptors;
  if (setup::Keeper* keeper = inside_.keeper()) {
    options.read_resolv_conf = [keeper, seen = std::uint64_t{0}]() mutable {
      return keeper->changed_resolv_conf(seen);
    };
  }
  return options;
}

}  // namespace sf::cli
