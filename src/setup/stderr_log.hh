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

// To `fd`, which stays open. A pipe or terminal that is full is waited for a quarter of a second, and not
// again before somebody has read; the network waits with it. What finds no room is counted, and the number
// said when there is room again. (Where the command inside writes to the same pipe without pause, it may take
// the room between the look and the write: then the message waits for the reader.)
[[nodiscard]] Log::Sink message_sink(int fd, MessageForm form);

}  // namespace sf::setup
