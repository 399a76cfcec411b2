// Looking at the frames of a running instance: recordings in pcapng that grow while clients of the control
// socket take from them.
//
//     shard ── on_frame() ──> filter ──> what waits for a client ──> take() ── control socket ──> client
//                               │             │
//                             not wanted    full: lost, and counted
//
// Nobody waits here: whoever moves packets leaves a copy, or loses it. While nobody looks on, the links'
// pointer to this is null.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "control/stream.hh"
#include "link/link.hh"
#include "wire/packet_filter.hh"
#include "wire/pcapng.hh"

namespace sf::control {

struct CaptureRequest {
  wire::PacketFilter filter;
  std::uint32_t snap_length = wire::pcapng::kMaxSnapLength;
};

class Captures final : public link::Onlooker {
 public:
  static constexpr std::size_t kMaxCaptures = 4;
  // Of one recording, before the client; as much again may be on its way to it.
  static constexpr std::size_t kMaxWaiting = std::size_t{4} << 20;
  // Of a frame, a filter sees so much.
  static constexpr std::size_t kFiltered = 2048;

  struct Hooks {
    std::function<std::chrono::nanoseconds()> unix_time;
    // Makes the control socket's thread call deliver() soon; by any thread.
    std::function<void()> wake;
    // Shows this all frames, or none any more. By the control socket's thread.
    std::function<void(bool used)> use;
  };

  Captures(std::string interface_name, Hooks hooks)
      : interface_name_(std::move(interface_name)), hooks_(std::move(hooks)) {}
  ~Captures() override;

  // A recording from now on; it ends with the stream, before this does. Null where there are kMaxCaptures.
  [[nodiscard]] std::unique_ptr<Stream> add(CaptureRequest request);
  void deliver();

  void on_frame(std::span<const Bytes> parts, const wire::Offload& offload,
                link::Direction direction) override;

 private:
  class Recording;

  void remove(Recording* recording);

  std::string interface_name_;
  Hooks hooks_;
  std::mutex mutex_;                    // for all below, and for what Recording says
  std::vector<Recording*> recordings_;  // changed by the control socket's thread alone
  bool woken_ = false;
};

}  // namespace sf::control
