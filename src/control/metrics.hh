// The metrics of an instance as Prometheus reads them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/metrics.hh"
#include "host/loopback.hh"

namespace sf::control {

struct MetricsReport {
  engine::Metrics engine{};  // of all shards
  host::LoopbackTotals loopback{};
  std::uint64_t policy_refusals = 0;
  unsigned threads = 0;  // that move packets
  std::string version{};
};

// Of the process; what could not be learnt is left out.
struct ProcessReport {
  std::chrono::nanoseconds started{};  // since 1970
  std::optional<std::uint64_t> resident_bytes{};
};

[[nodiscard]] std::string metrics_text(const MetricsReport& report, const ProcessReport& process);

}  // namespace sf::control
