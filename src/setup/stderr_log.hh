// Messages on standard error: "slirp-forwarder: text", or one JSON object per line with a UTC time stamp.
#pragma once

#include "base/log.hh"

namespace sf::setup {

// Each message is one write(2), so that those of the program and of its child inside do not mix. An error and
// an information stand as they are; warnings and debugging say what they are.
[[nodiscard]] Log::Sink stderr_sink(bool json);

}  // namespace sf::setup
