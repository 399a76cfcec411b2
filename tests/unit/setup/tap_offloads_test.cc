#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "setup/tap.hh"

namespace sf::setup {
namespace {

constexpr unsigned long kChecksum = 0x01;
constexpr unsigned long kTso4 = 0x02;
constexpr unsigned long kTso6 = 0x04;
constexpr unsigned long kUso = 0x60;

// A kernel that knows `known` alone, and refuses the whole for anything else. `state` is what it has on.
TapOffloads chosen(unsigned long known, unsigned long& state) {
  return choose_offloads([&](unsigned long argument) {
    if ((argument & ~known) != 0) return false;
    state = argument;
    return true;
  });
}

TEST(TapOffloads, TakesWhatTheKernelHas) {
  struct Case {
    unsigned long known;
    TapOffloads expected;
  };
  const Case cases[] = {
      {kChecksum | kTso4 | kTso6 | kUso, {true, true, true, true}},
      {kChecksum | kTso4 | kTso6, {true, true, true, false}},
      {kChecksum | kTso4 | kTso6 | 0x20, {true, true, true, false}},  // USO for one IP version alone is none
      {kChecksum | kTso4, {true, true, false, false}},
      {kChecksum, {true, false, false, false}},
      {0, {}},
  };
  for (const Case& c : cases) {
    unsigned long state = ~0UL;
    EXPECT_EQ(chosen(c.known, state), c.expected) << c.known;
    // What the device has on is what was told, and nothing else.
    const TapOffloads& e = c.expected;
    EXPECT_EQ(state,
              (e.checksum ? kChecksum : 0) | (e.tso4 ? kTso4 : 0) | (e.tso6 ? kTso6 : 0) | (e.uso ? kUso : 0))
        << c.known;
  }
}

TEST(TapOffloads, ADeviceThatTakesNothingHasNone) {
  EXPECT_EQ(choose_offloads([](unsigned long) { return false; }), TapOffloads{});
}

}  // namespace
}  // namespace sf::setup
