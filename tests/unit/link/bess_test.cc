#include "link/bess.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace sf::link {
namespace {

using ::testing::HasSubstr;

class BessTest : public ::testing::Test {
 protected:
  BessTest() {
    std::string pattern = ::testing::TempDir() + "bessXXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    path_ = folder_ + "/socket";
  }
  ~BessTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Bess> listen() const {
    auto bess = Bess::listen(path_);
    EXPECT_TRUE(bess.has_value()) << (bess ? "" : bess.error().message);
    return bess ? *std::move(bess) : nullptr;
  }

  // 0, or the errno.
  int connect() {
    peer_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    return ::connect(peer_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? 0
                                                                                                     : errno;
  }

  Status receive(Bess& bess) { return bess.receive(buffer_, frame_); }

  // A numbered frame of 1500 bytes in two parts.
  static Status send(Bess& bess, std::uint32_t number) {
    std::array<std::uint8_t, 4> head{};
    std::memcpy(head.data(), &number, sizeof(number));
    const std::array<std::uint8_t, 1496> body{};
    const std::array<Bytes, 2> parts{Bytes{head}, Bytes{body}};
    return bess.send(parts, {});
  }

  // The number of the next frame that the peer has; -1: none.
  std::int64_t next() const {
    std::array<std::uint8_t, 4096> bytes{};
    if (::recv(peer_.get(), bytes.data(), bytes.size(), 0) != 1500) return -1;
    std::uint32_t number = 0;
    std::memcpy(&number, bytes.data(), sizeof(number));
    return number;
  }

  std::string folder_;
  std::string path_;
  UniqueFd peer_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kMaxFrame);
  Frame frame_;
};

TEST_F(BessTest, drops_and_has_nothing_before_the_peer_is_there) {
  const auto bess = listen();
  EXPECT_EQ(receive(*bess), Status::empty);
  EXPECT_EQ(send(*bess, 1), Status::dropped);
}

TEST_F(BessTest, frames_are_packets) {
  const auto bess = listen();
  ASSERT_EQ(connect(), 0);
  ASSERT_EQ(::send(peer_.get(), "first", 5, 0), 5);
  ASSERT_EQ(::send(peer_.get(), "second", 6, 0), 6);
  ASSERT_EQ(receive(*bess), Status::ok);
  EXPECT_EQ(frame_.bytes.size(), 5U);
  ASSERT_EQ(receive(*bess), Status::ok);
  EXPECT_EQ(frame_.bytes.size(), 6U);
  EXPECT_FALSE(frame_.offload.checksum_valid);
  EXPECT_EQ(receive(*bess), Status::empty);
  EXPECT_EQ(send(*bess, 7), Status::ok);
  EXPECT_EQ(next(), 7);
}

TEST_F(BessTest, has_no_offloads) {
  const auto bess = listen();
  EXPECT_FALSE(bess->features().checksum);
  EXPECT_FALSE(bess->features().tcp4_gso);
  EXPECT_FALSE(bess->features().udp_gso);
}

TEST_F(BessTest, a_packet_without_a_byte_is_no_end) {
  const auto bess = listen();
  ASSERT_EQ(connect(), 0);
  ASSERT_EQ(::send(peer_.get(), "", 0, 0), 0);
  ASSERT_EQ(::send(peer_.get(), "x", 1, 0), 1);
  ASSERT_EQ(receive(*bess), Status::ok);
  EXPECT_EQ(frame_.bytes.size(), 1U);
}

TEST_F(BessTest, is_gone_with_its_peer) {
  const auto bess = listen();
  ASSERT_EQ(connect(), 0);
  EXPECT_EQ(receive(*bess), Status::empty);
  peer_.reset();
  EXPECT_EQ(receive(*bess), Status::gone);
  EXPECT_EQ(send(*bess, 1), Status::gone);
}

TEST_F(BessTest, refuses_a_second_peer) {
  const auto bess = listen();
  ASSERT_EQ(connect(), 0);
  EXPECT_EQ(receive(*bess), Status::empty);
  const UniqueFd first = std::move(peer_);
  EXPECT_EQ(connect(), ECONNREFUSED);
}

// What a slow reader does not take at once comes later, in order; and no more waits than the limit.
TEST_F(BessTest, frames_wait_for_a_slow_reader) {
  const auto bess = listen();
  ASSERT_EQ(connect(), 0);
  EXPECT_EQ(receive(*bess), Status::empty);
  std::uint32_t sent = 0;
  while (sent < 10 * Bess::kMaxWaiting && send(*bess, sent) == Status::ok) ++sent;
  ASSERT_GT(sent, Bess::kMaxWaiting);
  ASSERT_LT(sent, 10 * Bess::kMaxWaiting);
  for (std::uint32_t number = 0; number < sent;) {
    std::int64_t got = next();
    if (got < 0) {
      EXPECT_EQ(receive(*bess), Status::empty);  // sends what has been waiting
      got = next();
    }
    ASSERT_EQ(got, number);
    ++number;
  }
  EXPECT_EQ(send(*bess, sent), Status::ok);
  EXPECT_EQ(next(), sent);
}

TEST_F(BessTest, the_file_is_private_and_goes_with_it) {
  auto bess = listen();
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  bess.reset();
  EXPECT_NE(::stat(path_.c_str(), &status), 0);
}

TEST_F(BessTest, replaces_an_old_socket_and_no_other_file) {
  auto old = listen();
  const auto bess = listen();
  old.reset();  // the file is another one's by now
  EXPECT_TRUE(std::filesystem::exists(path_));
  EXPECT_EQ(connect(), 0);
  const std::string file = folder_ + "/file";
  std::ofstream(file) << "mine";
  const auto refused = Bess::listen(file);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("not a socket"));
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(BessTest, says_what_is_wrong_with_a_path) {
  EXPECT_THAT(Bess::listen(std::string(108, 'x')).error().message, HasSubstr("107 bytes"));
  EXPECT_THAT(Bess::listen("").error().message, HasSubstr("107 bytes"));
  EXPECT_THAT(Bess::listen(folder_ + "/no/such").error().message, HasSubstr("No such file"));
}

}  // namespace
}  // namespace sf::link
