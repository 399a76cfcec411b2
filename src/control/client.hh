// The other end of the control socket: asks a running instance one thing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"
#include "base/time.hh"
#include "base/unique_fd.hh"

struct sockaddr_un;

namespace sf::control {

inline constexpr Duration kReplyTimeout = 5s;

// False where `path` is empty, too long (107 bytes are the most that Linux takes) or has a zero byte.
[[nodiscard]] bool make_address(const std::string& path, sockaddr_un& address);

// How a socket file answers.
enum class Answers { yes, refused, absent, unknown };
[[nodiscard]] Answers probe(const std::string& path);

// Sends `text` to the socket at `path` and returns what comes back until the other side closes. Waits for
// `timeout` at most, all in all.
[[nodiscard]] Result<std::string> request(const std::string& path, std::string_view text,
                                          Duration timeout = kReplyTimeout);

// The same of several at once, so that those that do not answer delay no other. The replies are in the order
// of `paths`. `timeout` holds for up to 500 of them, and then for the next.
[[nodiscard]] std::vector<Result<std::string>> request_all(const std::vector<std::string>& paths,
                                                           std::string_view text,
                                                           Duration timeout = kReplyTimeout);

// Connects to the socket at `path` and sends `text`, for a reply that the caller receives. The text is short,
// and within `timeout`.
[[nodiscard]] Result<UniqueFd> connect_and_send(const std::string& path, std::string_view text,
                                                Duration timeout = kReplyTimeout);

// A timerfd(2) that is readable once `duration` has passed. Empty where there are no descriptors.
[[nodiscard]] UniqueFd start_timer(Duration duration);

// Something that recurs: wait() returns when `interval` has passed since start.
class Interval {
 public:
  explicit Interval(Duration interval);
  void wait();

 private:
  UniqueFd timer_;
};

}  // namespace sf::control
