// Two connected stream sockets of this host's, each getting what the other one says: the bytes of a
// connection through a loopback port.
//
// Theory of operation.
//   Each direction reads into a buffer that all connections share, and sends at once: two system calls for a
//   request or a reply. A read that fills the buffer is a sign of many bytes: from then on the kernel moves
//   them through a pipe (splice(2)), without a copy through this process, until they get few.
//   What the receiver does not take stays where it is: in the pipe, or in the direction's tail, and nothing
//   more is read until it has gone. So a direction never holds more than one pipe, or one buffer.
//   A pipe is borrowed from a pool for as long as there is something in it: an idle connection has none.
//   A direction whose sender has finished is closed once all has arrived (half-close, RFC 9293 section 3.6);
//   an error of either socket resets the other one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/unique_fd.hh"
#include "host/descriptors.hh"
#include "host/host.hh"

namespace sf::host {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

// What the connections of one loop share.
class SplicePool {
 public:
  static constexpr std::size_t kBuffer = std::size_t{64} * 1024;
  static constexpr int kPipeSize = 1 << 20;  // the most that a user may ask for (fs.pipe-max-size)
  static constexpr std::size_t kSparePipes = 16;

  explicit SplicePool(Descriptors descriptors = {}) : descriptors_(descriptors) {}

  // Without a descriptor where there are none left: then the bytes are copied.
  [[nodiscard]] Pipe take();
  // Of an empty pipe.
  void give_back(Pipe pipe);
  [[nodiscard]] std::span<std::uint8_t> buffer() const { return {buffer_.get(), kBuffer}; }

 private:
  Descriptors descriptors_;
  std::vector<Pipe> spare_;
  std::unique_ptr<std::uint8_t[]> buffer_{new std::uint8_t[kBuffer]};  // costs the pages that are used
};

class SplicedPair {
 public:
  // Both non-blocking; edge-triggered events of both go to on_event().
  SplicedPair(UniqueFd client, UniqueFd guest) {
    sides_[0].fd = std::move(client);
    sides_[1].fd = std::move(guest);
  }

  enum class Side : std::uint8_t { client = 0, guest = 1 };
  enum class Outcome : std::uint8_t {
    waiting,  // for an event
    more,     // the budget ended it: run() again in the next turn
    done,     // both directions are closed: to be destroyed
    failed,   // an error: to be destroyed, after abort()
  };

  void on_event(Side side, Readiness readiness);
  // Moves what can be moved, within a budget.
  [[nodiscard]] Outcome run(SplicePool& pool);
  // Resets both sides. What was not delivered is lost with that.
  void abort();
  // The end of the program: what the guest has said goes out as far as the client takes it, and its end with
  // it. A connection that is not complete by then is reset.
  void finish(SplicePool& pool);

  [[nodiscard]] std::uint64_t bytes_to_guest() const { return directions_[0].bytes; }
  [[nodiscard]] std::uint64_t bytes_from_guest() const { return directions_[1].bytes; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_to_guest() + bytes_from_guest(); }
  [[nodiscard]] bool client_finished() const { return directions_[0].ended; }
  [[nodiscard]] bool guest_finished() const { return directions_[1].ended; }

 private:
  static constexpr std::size_t kBudget = std::size_t{4} << 20;  // bytes per direction and run

  struct End {
    UniqueFd fd;
    bool readable = true;
    bool writable = true;
    bool finishing = false;  // what there is to read ends with its FIN, or an error
    bool broken = false;     // it is reset, or both its directions are closed
  };
  struct Direction {
    Pipe pipe;
    std::size_t in_pipe = 0;
    std::vector<std::uint8_t> tail;
    std::size_t tail_sent = 0;
    std::uint64_t bytes = 0;
    std::uint8_t few = 0;  // short ones in a row
    bool many = false;     // splice rather than copy
    bool ended = false;    // the sender's FIN has been read
    bool closed = false;   // and passed on
    [[nodiscard]] bool holds() const { return in_pipe > 0 || tail_sent < tail.size(); }
  };
  enum class Step : std::uint8_t { moved, blocked, ended, failed };

  [[nodiscard]] Outcome run(Direction& direction, End& from, End& to, SplicePool& pool);
  [[nodiscard]] Step deliver(Direction& direction, End& to) const;
  [[nodiscard]] Step copy(Direction& direction, End& from, End& to, std::span<std::uint8_t> buffer) const;
  [[nodiscard]] Step splice_in(Direction& direction, End& from, SplicePool& pool) const;

  std::array<End, 2> sides_;
  std::array<Direction, 2> directions_;  // by the side that sends
};

}  // namespace sf::host
