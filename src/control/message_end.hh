// Where a JSON value ends within a stream of bytes that come in pieces of any size, without parsing it: each
// byte is looked at once.
//
// Clients of slirp4netns shut down writing after their request. People who type into a socket do not, so the
// request also ends with the bracket that closes it, or, where it begins with none, with the line.
#pragma once

#include <cstddef>
#include <string_view>

namespace sf::control {

class MessageEnd {
 public:
  // Takes the next bytes. Returns how many of them still belong to the message: fewer than there are, or all
  // with done(), where it ends within them.
  std::size_t feed(std::string_view piece);
  [[nodiscard]] bool done() const { return done_; }

 private:
  [[nodiscard]] bool ends_with(char c);

  enum class In { nothing, brackets, string, escape, line };
  In in_ = In::nothing;
  std::size_t depth_ = 0;
  bool done_ = false;
};

}  // namespace sf::control
