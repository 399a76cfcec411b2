// Messages on standard error: "slirp-forwarder: text" with the name the program goes by, or one JSON object
// per line with a UTC time stamp.
#pragma once

#include <string>

#include "base/log.hh"

namespace sf::setup {

// Each message is one write(2), so that those of the program and of its child inside do not mix. An error and
// an information stand as they are; warnings and debugging say what they are.
struct MessageForm {
  bool json = false;
  std::string program = "slirp-forwarder";
  std::string warning = "warning";  // how a warning is marked
};

[[nodiscard]] Log::Sink stderr_sink(MessageForm form);

}  // namespace sf::setup
