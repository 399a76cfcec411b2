// The client's side of a capture, with an instance that lies or dies and readers that go away.
#include "control/capture_client.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <csignal>
#include <thread>

#include "unit/control/control_fixture.hh"
#include "unit/support/pcapng_reader.hh"
#include "wire/pcapng.hh"

namespace sf::control {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Summary = CaptureClient::Summary;
using End = CaptureClient::End;

// Accepts one client, reads its request, and says what the test says.
class CaptureClientTest : public ::testing::Test {
 protected:
  CaptureClientTest() : signals_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address;
    EXPECT_TRUE(make_address(path_, address));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
  }
  ~CaptureClientTest() override {
    if (server_.joinable()) server_.join();
  }

  // The server says `text`, then closes, or waits for the client's end, says `last` and closes.
  void serve(std::vector<std::uint8_t> text, bool waits = false, std::vector<std::uint8_t> last = {}) {
    server_ = std::thread([this, waits, text = std::move(text), last = std::move(last)] {
      const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::array<char, 4096> request;
      EXPECT_GT(::recv(peer.get(), request.data(), request.size(), 0), 0);
      static_cast<void>(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL));
      if (waits) {
        EXPECT_EQ(::recv(peer.get(), request.data(), request.size(), 0), 0);
      }
      static_cast<void>(::send(peer.get(), last.data(), last.size(), MSG_NOSIGNAL));
    });
  }
  static std::vector<std::uint8_t> recording(int frames, std::uint64_t lost = 0) {
    std::vector<std::uint8_t> out;
    wire::pcapng::append_head(out, "tap0", 262144);
    const std::vector<std::uint8_t> frame(61, 7);
    for (int i = 0; i < frames; ++i)
      wire::pcapng::append_packet(out, {.parts = std::array{Bytes{frame}}, .lost = i == 0 ? lost : 0});
    return out;
  }
  static std::vector<std::uint8_t> statistics(std::uint64_t lost) {
    std::vector<std::uint8_t> out;
    wire::pcapng::append_statistics(out, {}, {10, 10, lost});
    return out;
  }
  CaptureClient ask() {
    auto client = CaptureClient::ask(path_, R"({"execute":"capture"})");
    EXPECT_TRUE(client) << client.error().message;
    return *std::move(client);
  }
  // A file, and what is in it.
  UniqueFd file() { return *open_recording(file_); }
  Recording written() const {
    std::vector<std::uint8_t> bytes(std::filesystem::file_size(file_));
    const UniqueFd in(::open(file_.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(::read(in.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    return Recording(bytes);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "api.sock";
  std::string file_ = folder_ / "recording";
  UniqueFd signals_;
  UniqueFd listener_;
  std::thread server_;
};

TEST_F(CaptureClientTest, until_the_instance_ends) {
  serve(recording(3, 5));
  const auto summary = ask().copy(file().get(), signals_.get(), {});
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->frames, 3U);
  EXPECT_EQ(summary->lost, 5U);
  EXPECT_EQ(summary->end, End::instance_gone);
  EXPECT_EQ(written().packets.size(), 3U);
}

TEST_F(CaptureClientTest, a_block_that_is_not_whole_is_left_out) {
  auto bytes = recording(2);
  bytes.resize(bytes.size() - 3);
  serve(bytes);
  const auto summary = ask().copy(file().get(), signals_.get(), {});
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->frames, 1U);
  EXPECT_EQ(written().packets.size(), 1U);
}

TEST_F(CaptureClientTest, until_a_signal_with_what_still_comes) {
  auto last = recording(1);
  last.erase(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(recording(0).size()));
  const auto numbers = statistics(9);
  last.insert(last.end(), numbers.begin(), numbers.end());
  serve(recording(2), true, last);
  CaptureClient client = ask();
  ::eventfd_write(signals_.get(), 1);
  const auto summary = client.copy(file().get(), signals_.get(), {});
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->frames, 3U);
  EXPECT_EQ(summary->lost, 9U);
  EXPECT_EQ(summary->end, End::asked);
  EXPECT_EQ(written().blocks().back(), wire::pcapng::kInterfaceStatistics);
}

TEST_F(CaptureClientTest, as_many_as_were_asked_for) {
  serve(recording(10), true, statistics(0));
  const auto summary = ask().copy(file().get(), signals_.get(), 4);
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->frames, 4U);
  EXPECT_EQ(summary->end, End::asked);
  EXPECT_EQ(written().packets.size(), 4U);
  EXPECT_EQ(written().statistics.size(), 3U);
}

TEST_F(CaptureClientTest, a_reader_that_goes_away_while_nothing_comes) {
  serve(recording(1), true);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  std::thread goes([&reader] {
    std::array<char, 4096> bytes;
    EXPECT_GT(::read(reader.get(), bytes.data(), bytes.size()), 0);
    reader.reset();
  });
  const auto summary = ask().copy(writer.get(), signals_.get(), {});
  goes.join();
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->end, End::reader_gone);
}

TEST_F(CaptureClientTest, a_signal_while_the_reader_does_nothing) {
  serve(recording(20'000), true);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  std::thread impatient([this] {
    std::this_thread::sleep_for(100ms);
    ::eventfd_write(signals_.get(), 1);
  });
  const auto summary = ask().copy(writer.get(), signals_.get(), {});
  impatient.join();
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->end, End::asked);
}

TEST_F(CaptureClientTest, a_refusal_in_pieces) {
  const std::string text = R"({"error":{"desc":"no"}})";
  serve({text.begin(), text.end()});
  EXPECT_EQ(ask().refusal(), text);
}

TEST_F(CaptureClientTest, nonsense) {
  std::vector<std::uint8_t> bytes = recording(1);
  for (int i = 0; i < 64; ++i) bytes.push_back(0xff);
  serve(bytes);
  const auto summary = ask().copy(file().get(), signals_.get(), {});
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().message, HasSubstr("no pcapng"));
}

TEST_F(CaptureClientTest, closed_without_a_word) {
  serve({});
  const auto client = CaptureClient::ask(path_, "{}");
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().message, HasSubstr("without a word"));
}

TEST_F(CaptureClientTest, a_disk_that_is_full) {
  serve(recording(1), true);
  CaptureClient client = ask();
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto summary = client.copy(full.get(), signals_.get(), {});
  ASSERT_FALSE(summary);
  EXPECT_THAT(summary.error().message, HasSubstr("No space left"));
}

TEST_F(CaptureClientTest, a_file_that_cannot_be_made) {
  const auto file = open_recording(folder_ / "no/such/file");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("give -w a path"));
}

}  // namespace
}  // namespace sf::control
