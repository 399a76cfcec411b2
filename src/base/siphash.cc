#include "base/siphash.hh"

#include <bit>

namespace sf::base {
namespace {

std::uint64_t load_le64(const std::uint8_t* p) {
  std::uint64_t v = 0;
  for (int i = 7; i >= 0; --i) v = (v << 8) | p[i];
  return v;
}

struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t m) {
    v3 ^= m;
    round();
    round();
    v0 ^= m;
  }
};

}  // namespace

std::uint64_t siphash(const SipKey& key, Bytes data) {
  State s{key.k0 ^ 0x736f6d6570736575U, key.k1 ^ 0x646f72616e646f6dU, key.k0 ^ 0x6c7967656e657261U,
          key.k1 ^ 0x7465646279746573U};
  const std::size_t whole = data.size() / 8 * 8;
  for (std::size_t at = 0; at < whole; at += 8) s.absorb(load_le64(data.data() + at));
  std::uint64_t last = std::uint64_t{data.size()} << 56;
  for (std::size_t at = whole; at < data.size(); ++at) {
    last |= static_cast<std::uint64_t>(data[at]) << (8 * (at - whole));
  }
  s.absorb(last);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) s.round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

}  // namespace sf::base
