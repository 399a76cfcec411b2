// Messages between the program and its child inside the namespaces: a SOCK_SEQPACKET socket pair. The end of
// either process closes its end, which is how the other one learns of it, SIGKILL included.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

enum class MessageKind : char {
  mapped = 'm',   // to the child: the id maps are written
  tap = 't',      // from the child: the TAP's queues, with its description as text
  release = 'g',  // to the child: the engine runs
  ready = 'r',    // from the child: the network works
  failed = 'e',   // from the child: `text` is the error line
  signal = 's',   // to the child: `text` is the number of a signal for CMD
  // guest_helper.hh. To the child: make some; from it: here they are, fewer than were asked for where that
  // failed.
  sockets = 'k',
  listeners = 'l',  // to the child: tell who listens, from now on; from it: `text` has all of them
  // keeper.hh
  keep = 'f',   // to the keeper: a file to remove at the end
  seal = 'z',   // to the keeper: no more of them
  names = 'n',  // to the keeper: is there another resolv.conf? From it: the answer
  ended = 'x',  // from the keeper: the child's exit status
};

struct Message {
  MessageKind kind = MessageKind::failed;
  std::string text;
  std::vector<UniqueFd> fds;
};

class Channel {
 public:
  static constexpr std::size_t kMaxText = 16384;
  static constexpr std::size_t kMaxFds = 64;

  Channel() = default;
  explicit Channel(UniqueFd fd) : fd_(std::move(fd)) {}
  // Both ends are close-on-exec and blocking.
  [[nodiscard]] static Result<std::pair<Channel, Channel>> make_pair();

  // False where the other end is gone. Text beyond kMaxText is cut off.
  bool send(MessageKind kind, const std::string& text = {}, const std::vector<int>& fds = {}) const;
  // Waits for a message; absent where the other end is gone.
  [[nodiscard]] std::optional<Message> receive() const;

  // The kind of the message that receive() would return; absent where there is none yet, and at the end.
  [[nodiscard]] std::optional<MessageKind> peek() const;
  // The other end reads that this one is gone, while this one goes on reading.
  void end_sending() const;

  [[nodiscard]] int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

}  // namespace sf::setup
