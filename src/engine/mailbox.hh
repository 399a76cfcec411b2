// What other threads give to a shard: frames that arrived at a queue that is not their flow's, and errands
// (what to publish, a client that was accepted elsewhere, a question of the control socket).
//
// A mutex and two buffers that change places: whoever posts copies a frame to the end of one, and the shard
// takes it as a whole at the beginning of its turn. Nothing of this is touched while every frame arrives
// where it belongs.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "base/bytes.hh"
#include "base/time.hh"
#include "link/link.hh"
#include "wire/offload.hh"

namespace sf::engine {

class Shard;

// Runs on the shard's own thread, in one of its turns.
using Errand = std::function<void(Shard& shard, Time now)>;

// What a mailbox had; used again, so that its memory is.
class Mail {
 public:
  // The frames one after the other, each valid until clear(). False: that was all.
  [[nodiscard]] bool next(link::Frame& frame);
  [[nodiscard]] std::vector<Errand>& errands() { return errands_; }
  void clear();
  // In bytes.
  [[nodiscard]] std::size_t memory() const { return frames_.capacity(); }

 private:
  friend class Mailbox;
  // Before the bytes of each frame.
  struct Head {
    std::uint32_t size = 0;
    wire::Offload offload;
    bool reassembled = false;
  };

  std::vector<std::uint8_t> frames_;
  std::size_t at_ = 0;
  std::vector<Errand> errands_;
};

class Mailbox {
 public:
  // Bytes of frames that wait. Once the owner has answered, a flow's frames come to it by themselves: this
  // much only waits in a flood that nothing answers.
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;

  // `wake` makes the shard take its mail soon. It is called by whoever posts, and not again before take().
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // By any thread. False: no room, and nothing was posted.
  [[nodiscard]] bool post_frame(std::span<const Bytes> parts, const wire::Offload& offload,
                                bool reassembled = false);
  // False: the shard has ended, and the errand is gone.
  bool post(Errand errand);

  // By the shard's thread: all that is there, into a Mail that is clear.
  void take(Mail& mail);
  // Nothing will be taken any more; what was not yet, is gone.
  void close();

 private:
  // True: the shard has to be woken.
  [[nodiscard]] bool note_waiting();

  std::function<void()> wake_;
  std::mutex mutex_;  // for all below
  Mail waiting_;
  bool woken_ = false;
  bool closed_ = false;
};

}  // namespace sf::engine
