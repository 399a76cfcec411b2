// A TransmitHalf with a script's vocabulary: positions are counted from the first payload byte.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "tcp/transmit.hh"

namespace sf::tcp {

class TransmitTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kIss = 0xffff0000U;  // so that tests cross the wrap
  static constexpr std::uint32_t kMss = 1000;
  static constexpr std::uint32_t kWindow = 50'000;
  static constexpr std::uint32_t kMost = 64'000;

  TransmitTest() { start(kWindow); }
  void start(std::uint32_t window) {
    half_ = TransmitHalf();
    half_.start(at(0), kMss, window, Seq{kGuestIsn});
  }
  static Seq at(std::uint32_t position) { return Seq{kIss} + 1 + position; }

  // The application, so to speak: bytes for the guest.
  void write(std::uint32_t bytes) { queued_ += bytes; }

  // What goes out now, as text: "0-1000", "R0-1000" for a retransmission, "+F" where a FIN is on it.
  std::string send_one(std::uint32_t max_payload = kMost) {
    const auto chunk = half_.next(queued_, max_payload);
    if (!chunk) return "";
    half_.sent(*chunk, now_);
    const std::uint32_t from = chunk->seq - at(0);
    return (chunk->retransmission ? "R" : "") + std::to_string(from) + "-" +
           std::to_string(from + chunk->length) + (chunk->fin ? "+F" : "");
  }
  std::string send_all(std::uint32_t max_payload = kMost) {
    std::string out;
    for (int i = 0; i < 1000; ++i) {
      const std::string one = send_one(max_payload);
      if (one.empty()) return out;
      out += (out.empty() ? "" : " ") + one;
    }
    ADD_FAILURE() << "it does not end";
    return out;
  }

  using Blocks = std::initializer_list<std::pair<std::uint32_t, std::uint32_t>>;
  TransmitHalf::AckResult ack(std::uint32_t position, std::uint32_t window = kWindow, Blocks sack = {},
                              bool bare = true) {
    wire::TcpOptions options;
    for (const auto& [left, right] : sack) {
      options.sack[options.sack_count++] = {at(left).value, at(right).value};
    }
    const auto result = half_.on_ack(at(position), guest_seq_, window, options, bare, now_);
    queued_ -= result.acked;
    return result;
  }
  void duplicates(int count, std::uint32_t position) {
    for (int i = 0; i < count; ++i) static_cast<void>(ack(position));
  }
  void pass(Duration time) { now_ += time; }

  static constexpr std::uint32_t kGuestIsn = 0xc0000000U;
  TransmitHalf half_;
  std::uint32_t queued_ = 0;
  Seq guest_seq_{kGuestIsn + 1};
  Time now_{1000s};
};

}  // namespace sf::tcp
