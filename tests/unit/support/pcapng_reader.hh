// Takes a pcapng file apart, checking its structure; independent of the code that writes it.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "base/bytes.hh"

namespace sf {

using FileBytes = std::vector<std::uint8_t>;

template <typename T>
T load_at(Bytes bytes, std::size_t at) {
  T value{};
  EXPECT_LE(at + sizeof(T), bytes.size());
  if (at + sizeof(T) <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

struct RecordedPacket {
  std::uint64_t time = 0;
  FileBytes bytes;
  std::uint32_t size = 0;  // before it was cut off
  std::uint32_t flags = 0;
  std::uint64_t lost = 0;  // since the one before it
};

class Recording {
 public:
  explicit Recording(const FileBytes& file) { read_file(file); }
  std::vector<RecordedPacket> packets;
  std::map<std::uint16_t, std::uint64_t> statistics;  // by option
  [[nodiscard]] const std::vector<std::uint32_t>& blocks() const { return blocks_; }
  [[nodiscard]] const std::vector<std::pair<std::uint16_t, FileBytes>>& options() const { return options_; }

 private:
  void read_file(Bytes left) {
    while (left.size() >= 12) {
      const auto length = load_at<std::uint32_t>(left, 4);
      ASSERT_EQ(length % 4, 0U);
      ASSERT_LE(length, left.size());
      ASSERT_EQ(load_at<std::uint32_t>(left, length - 4), length);
      blocks_.push_back(load_at<std::uint32_t>(left, 0));
      const Bytes body = left.subspan(8, length - 12);
      if (blocks_.back() == 6) {
        read_packet(body);
      } else if (blocks_.back() == 5) {
        for (const auto& [code, value] : read_options(body.subspan(12)))
          statistics[code] = load_at<std::uint64_t>(value, 0);
      } else if (blocks_.back() == 1) {
        EXPECT_EQ(load_at<std::uint16_t>(body, 0), 1);  // Ethernet
        options_ = read_options(body.subspan(8));
      } else {
        EXPECT_EQ(load_at<std::uint32_t>(body, 0), 0x1a2b3c4dU);
      }
      left = left.subspan(length);
    }
    EXPECT_TRUE(left.empty());
  }
  static std::vector<std::pair<std::uint16_t, FileBytes>> read_options(Bytes bytes) {
    std::vector<std::pair<std::uint16_t, FileBytes>> options;
    while (bytes.size() >= 4) {
      const auto code = load_at<std::uint16_t>(bytes, 0);
      const auto size = load_at<std::uint16_t>(bytes, 2);
      if (code == 0) return options;
      const Bytes value = bytes.subspan(4, size);
      options.emplace_back(code, FileBytes(value.begin(), value.end()));
      bytes = bytes.subspan(4 + (size + 3U) / 4 * 4);
    }
    ADD_FAILURE() << "no end of options";
    return options;
  }
  void read_packet(Bytes body) {
    RecordedPacket packet;
    EXPECT_EQ(load_at<std::uint32_t>(body, 0), 0U);
    packet.time = (std::uint64_t{load_at<std::uint32_t>(body, 4)} << 32) | load_at<std::uint32_t>(body, 8);
    const auto size = load_at<std::uint32_t>(body, 12);
    packet.size = load_at<std::uint32_t>(body, 16);
    EXPECT_LE(size, packet.size);
    ASSERT_LE(20 + size, body.size());
    const Bytes data = body.subspan(20, size);
    packet.bytes.assign(data.begin(), data.end());
    for (const auto& [code, value] : read_options(body.subspan(20 + (size + 3) / 4 * 4))) {
      if (code == 2) packet.flags = load_at<std::uint32_t>(value, 0);
      if (code == 4) packet.lost = load_at<std::uint64_t>(value, 0);
    }
    packets.push_back(std::move(packet));
  }

  std::vector<std::uint32_t> blocks_;
  std::vector<std::pair<std::uint16_t, FileBytes>> options_;
};

}  // namespace sf
