// Nothing is allocated per packet (ARCHITECTURE.md, "Memory"), and how much per connection. Counted by a
// replaced operator new, so this is a program of its own, and not for the sanitizers, which replace it
// themselves.
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <new>

#include "rig.hh"

namespace {

std::size_t allocations = 0;

void* counted(std::size_t size) {
  ++allocations;
  void* made = std::malloc(size == 0 ? 1 : size);
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace sf::bench {
namespace {

constexpr std::size_t kSuperFrame = 44 * 1448;
constexpr std::uint16_t kPort = 40000;

std::size_t during(const std::function<void()>& action) {
  const std::size_t before = allocations;
  action();
  return allocations - before;
}

TEST(Allocations, AreSeen) {
  EXPECT_EQ(during([] { delete new int(1); }), 1U);
}

TEST(Allocations, NonePerTcpSegment) {
  Rig rig;
  const std::uint32_t ours = rig.open(kPort);
  ASSERT_NE(ours, 0U);
  for (const std::size_t size : {std::size_t{64}, kSuperFrame}) {
    const std::vector<std::uint8_t> payload(size, 1);
    const std::uint64_t sent = rig.host().sent();
    std::uint32_t sequence = Rig::kFirst + 1 + static_cast<std::uint32_t>(sent);
    auto frame = rig.tcp_frame(Rig::header(kPort, sequence, ours), payload);
    rig.turn(frame);
    const std::size_t count = during([&] {
      for (int i = 0; i < 1000; ++i) {
        sequence += static_cast<std::uint32_t>(size);
        store_be32(frame.data() + Rig::kSequenceAt, sequence);
        rig.turn(frame);
      }
    });
    EXPECT_EQ(rig.host().sent() - sent, 1001 * size);
    EXPECT_EQ(count, 0U) << size << " bytes each";
  }
}

TEST(Allocations, NonePerDatagram) {
  Rig rig;
  const auto frame = rig.udp_frame(1400);
  rig.turn(frame);
  EXPECT_EQ(during([&] {
              for (int i = 0; i < 1000; ++i) rig.turn(frame);
            }),
            0U);
  EXPECT_EQ(rig.host().sent(), 1001U * 1400);
}

// Slabs and indexes have grown by the second time; the timers of flows that are gone may still take room.
TEST(Allocations, NotOneForTenConnections) {
  Rig rig;
  std::vector<std::vector<std::uint8_t>> syns, resets;
  for (std::uint16_t port = kPort; port < kPort + 100; ++port) {
    syns.push_back(rig.tcp_frame(Rig::header(port, Rig::kFirst, 0), {}));
    wire::TcpSegment reset = Rig::header(port, Rig::kFirst + 1, 1);
    reset.flags = {};
    reset.flags.rst = true;
    resets.push_back(rig.tcp_frame(reset, {}));
  }
  const auto open_and_reset = [&] {
    for (const auto& syn : syns) {
      rig.turn(syn);
      rig.connected();
    }
    EXPECT_EQ(rig.flows(), syns.size());
    for (const auto& reset : resets) rig.turn(reset);
    EXPECT_EQ(rig.flows(), 0U);
  };
  open_and_reset();
  EXPECT_LT(during(open_and_reset), syns.size() / 10);
}

}  // namespace
}  // namespace sf::bench
