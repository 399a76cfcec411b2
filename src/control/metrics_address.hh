// Where metrics are served: the text of --metrics.
//
//     9100               on 127.0.0.1
//     192.0.2.1:9100     an address of the host's; [::1]:9100
//     unix:PATH          a Unix socket, for its owner alone
#pragma once

#include <string>
#include <string_view>

#include "base/address.hh"
#include "base/result.hh"

namespace sf::control {

struct MetricsAddress {
  std::string path;  // of a Unix socket; empty: none
  Endpoint at;       // else; port 0: the host chooses

  // As parse_metrics_address() takes it.
  [[nodiscard]] std::string to_string() const;
};

// The Error is one line, with the text and the forms.
[[nodiscard]] Result<MetricsAddress> parse_metrics_address(std::string_view option, std::string_view text);

}  // namespace sf::control
