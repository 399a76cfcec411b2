#include "cli/metrics_service.hh"

#include "control/metrics.hh"
#include "setup/resident_memory.hh"

namespace sf::cli {

Result<std::unique_ptr<control::MetricsServer>> serve_metrics(const control::MetricsAddress& address,
                                                              const control::Instance& instance,
                                                              std::chrono::nanoseconds started) {
  const auto resident = std::make_shared<const setup::ResidentMemory>();
  return control::MetricsServer::open(address, [&instance, resident, started] {
    return control::metrics_text(instance.metrics(), {started, resident->bytes()});
  });
}

}  // namespace sf::cli
