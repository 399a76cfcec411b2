// Somebody who has to see what the guest sends on a connection before it leaves. Ordinary flows have none.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.hh"
#include "base/time.hh"

namespace sf::tcp {

class Inspector {
 public:
  // What from_guest() sees at most. Less than what a connection holds under memory pressure, so that waiting
  // for more never waits for ever.
  static constexpr std::size_t kMaxSeen = std::size_t{17} * 1024;

  struct Verdict {
    std::uint32_t passes = 0;  // bytes from the front may leave
    bool refused = false;      // none may: the connection is reset
    bool done = false;         // all may, and all that follow
    bool audited = false;      // they would not, but for an audit
  };

  Inspector() = default;
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;
  virtual ~Inspector() = default;

  // The guest's bytes that have not passed yet, in order, from the first one on.
  [[nodiscard]] virtual Verdict from_guest(Bytes waiting, Time now) = 0;
  // The server that the guest has named; empty where none is looked for.
  [[nodiscard]] virtual std::string_view server_name() const { return {}; }
  // Bytes on their way to the guest. False: the connection is reset, and the guest gets none of them.
  [[nodiscard]] virtual bool to_guest(Bytes bytes, Time now) = 0;

  // The translator's: how many of the bytes that it holds have passed.
  std::uint32_t cleared = 0;
};

}  // namespace sf::tcp
