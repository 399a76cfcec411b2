// From "tcp port 80" to a program for the instance's packet filter, by libpcap.
#pragma once

#include <string>

#include "base/result.hh"

namespace sf::cli {

// As `tcpdump -ddd` prints it, which wire/packet_filter.hh takes. The Error has libpcap's own words.
[[nodiscard]] Result<std::string> compile_filter(const std::string& filter);

}  // namespace sf::cli
