// --metrics: an instance's metrics and those of this process, served.
#pragma once

#include <chrono>
#include <memory>

#include "control/instance.hh"
#include "control/metrics_server.hh"

namespace sf::cli {

// To come before files are out of reach. `started`: the present time, since 1970. `instance` outlives it.
[[nodiscard]] Result<std::unique_ptr<control::MetricsServer>> serve_metrics(
    const control::MetricsAddress& address, const control::Instance& instance,
    std::chrono::nanoseconds started);

}  // namespace sf::cli
