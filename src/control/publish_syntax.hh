// The text of --publish and of `port add`: which port of the host's leads to which of the guest's.
//
//     [tcp|udp/][HOST_ADDR:]HOST_PORT[-END][:GUEST_PORT[-END]]
//
//     8080:80                 TCP, all of the host's addresses of both IP versions
//     udp/127.0.0.1:53        the same port inside
//     [::1]:8000-8009:80-89   in order: 8000 to 80, 8001 to 81...
//     0:80                    the host chooses its port
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"
#include "engine/published.hh"

namespace sf::control {

inline constexpr std::uint32_t kMaxPortsInRange = 1024;

// One rule per port, never none. The Error is one line, with the text that is wrong and the form. Whether the
// rules lead to the guest's loopback is not part of the text.
[[nodiscard]] Result<std::vector<engine::PublishRule>> parse_publish(std::string_view text);

// `text`, which parse_publish() takes, says GUEST_PORT.
[[nodiscard]] bool names_guest_port(std::string_view text);

// The form above, with transport and both ports; what parse_publish() makes the same rule of. A rule with a
// guest address, which only the slirp4netns protocol can make, has it before the guest's port.
[[nodiscard]] std::string format_publish(const engine::PublishRule& rule);

}  // namespace sf::control
