// A link that keeps what is sent to it.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "link/link.hh"

namespace sf::link {

struct SentFrame {
  std::vector<std::uint8_t> bytes;
  wire::Offload offload;
  std::size_t parts = 0;
};

class FakeLink : public Link {
 public:
  explicit FakeLink(Features features = {}) : features_(features) {}

  Status receive(MutBytes buffer, Frame& frame) override {
    if (gone) return Status::gone;
    if (to_receive.empty()) return Status::empty;
    const auto [bytes, offload] = std::move(to_receive.front());
    to_receive.pop_front();
    std::copy(bytes.begin(), bytes.end(), buffer.begin());
    frame.bytes = buffer.first(bytes.size());
    frame.offload = offload;
    return Status::ok;
  }
  Status send(std::span<const Bytes> parts, const wire::Offload& offload) override {
    ++attempts;
    if (status != Status::ok) return status;
    SentFrame frame{{}, offload, parts.size()};
    for (const Bytes part : parts) frame.bytes.insert(frame.bytes.end(), part.begin(), part.end());
    sent.push_back(std::move(frame));
    return Status::ok;
  }
  Features features() const override { return features_; }
  void set_features(Features features) { features_ = features; }

  std::vector<SentFrame> sent;
  std::deque<std::pair<std::vector<std::uint8_t>, wire::Offload>> to_receive;
  Status status = Status::ok;
  bool gone = false;  // nothing more to receive, ever
  int attempts = 0;

 private:
  Features features_;
};

inline constexpr Features kAllFeatures{.checksum = true, .tcp4_gso = true, .tcp6_gso = true, .udp_gso = true};

// Bytes that differ from their neighbours, so that a piece out of place shows.
inline std::vector<std::uint8_t> pattern(std::size_t size, std::size_t from = 0) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t n = from + i;
    bytes[i] = static_cast<std::uint8_t>(n ^ (n >> 8) * 7);
  }
  return bytes;
}

}  // namespace sf::link
