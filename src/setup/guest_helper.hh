// What the child inside does for the program once the network works: it makes sockets in the guest's network
// namespace, which the program cannot enter, and tells who listens there.
//
// `run`'s child is in that namespace. The others' must not hold it, or it would never end: they wait in one
// of their own, and visit the guest's, which the TAP leads to (TUNGETDEVNETNS, Linux 5.11), for each answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hh"
#include "base/unique_fd.hh"
#include "setup/channel.hh"
#include "setup/kept_file.hh"

namespace sf::setup {

// TUNGETDEVNETNS, which Debian 12's headers have not got.
inline constexpr unsigned kTapNamespaceRequest = 0x54e3;

// Waits for MessageKind::release, and takes the files that are told of before it. Absent: the program is
// gone.
[[nodiscard]] std::optional<std::vector<KeptFile>> wait_for_release(const Channel& channel);

class GuestHelper {
 public:
  static constexpr unsigned kMostSockets = 32;  // per request
  static constexpr std::int64_t kLookEveryMs = 250;

  // For a process in the guest's network namespace.
  GuestHelper() = default;
  // For one that is in another one, with a descriptor of the guest's TAP.
  explicit GuestHelper(UniqueFd tap);

  // Answers a request; other messages are not looked at.
  void obey(const Message& message, const Channel& channel);
  // Readable when look() is to be called; -1 until that was asked for.
  [[nodiscard]] int look_fd() const { return timer_.get(); }
  // Tells who listens, where that is not what was told last.
  void look(const Channel& channel);

  // obey() and look() until the program at the other end is gone.
  void serve(const Channel& channel);

 private:
  void make_sockets(const std::string& kind_and_count, const Channel& channel);
  void begin_looking(const Channel& channel);

  bool elsewhere_ = false;
  UniqueFd tap_;
  UniqueFd own_;  // the namespace to come back to
  UniqueFd timer_;
  std::optional<std::string> told_;
  bool told_why_ = false;  // no socket could be made
};

// Requests and answers as text.
struct SocketRequest {
  bool stream = true;
  bool v4 = true;
  unsigned count = 1;

  [[nodiscard]] std::string describe() const;
  [[nodiscard]] static std::optional<SocketRequest> parse(const std::string& text);
};

}  // namespace sf::setup
