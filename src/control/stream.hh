// What a connection of the control socket goes on with after its request: bytes that come as they come, until
// the client has had enough.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace sf::control {

// All by the thread of the control socket.
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  virtual ~Stream() = default;

  // `ready` is called when there is something to take() again. It may destroy the stream.
  virtual void when_ready(std::function<void()> ready) = 0;
  // What has come since the last time, in place of what is in `out`; its memory is used again.
  virtual void take(std::vector<std::uint8_t>& out) = 0;
  // Nothing more is wanted but an orderly end.
  virtual void finish() = 0;
};

}  // namespace sf::control
