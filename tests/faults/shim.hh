// System calls that fail on demand. The linker (--wrap) leads the calls of what is under test through
// shim.cc; armed, one of them fails or does only a part of its work, once.
#pragma once

#include <cstdint>

namespace sf::faults {

// Beside the values of errno: one byte is read or written, however much there is.
inline constexpr int kShort = -1;

// The `number`th call (from 1) that `error` is possible for will fail with it. Counting begins anew.
void arm(int error, std::uint64_t number);
// Nothing fails any more. True where something has.
bool disarm();
// The name of the call that has failed; "" where none has.
[[nodiscard]] const char* struck();

// Calls of the test's own, which plays the other side, neither count nor fail.
class Aside {
 public:
  Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;
  ~Aside();

 private:
  bool before_;
};

}  // namespace sf::faults
