// Messages on standard error, and a reader who does not read them.
#include "setup/stderr_log.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.hh"

namespace sf::setup {
namespace {

using namespace std::chrono_literals;
using base::UniqueFd;

class MessageSink : public testing::Test {
 protected:
  MessageSink() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read_.reset(ends[0]);
    write_.reset(ends[1]);
  }

  // As some other program may that has the same pipe.
  std::size_t fill() {
    const int size = ::fcntl(write_.get(), F_SETPIPE_SZ, 8192);
    EXPECT_EQ(size, 8192);
    const std::vector<char> full(8192, '.');
    EXPECT_EQ(::write(write_.get(), full.data(), full.size()), 8192);
    return full.size();
  }
  std::string read(std::size_t most) {
    std::string text(most, 0);
    const ssize_t got = ::read(read_.get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

  UniqueFd read_;
  UniqueFd write_;
};

TEST_F(MessageSink, ALineForEach) {
  const Log::Sink sink = message_sink(write_.get(), {});
  sink(LogLevel::error, "one");
  sink(LogLevel::warning, "two");
  EXPECT_EQ(read(1000), "slirp-forwarder: one\nslirp-forwarder: warning: two\n");
}

TEST_F(MessageSink, AReaderWhoDoesNotReadIsWaitedForOnce) {
  const std::size_t filled = fill();
  const Log::Sink sink = message_sink(write_.get(), {});
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 40; ++i) sink(LogLevel::error, "lost");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_EQ(read(filled + 1).size(), filled);
  sink(LogLevel::error, "heard");
  EXPECT_EQ(read(1000),
            "slirp-forwarder: warning: 40 messages are missing here: standard error had no room for them\n"
            "slirp-forwarder: heard\n");
}

TEST_F(MessageSink, ASlowReaderMissesNothing) {
  const std::size_t filled = fill();
  std::thread reader([&] {
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(read(filled).size(), filled);
  });
  message_sink(write_.get(), {})(LogLevel::error, "late");
  reader.join();
  EXPECT_EQ(read(1000), "slirp-forwarder: late\n");
}

// A pipe with room takes a page, and no more without waiting.
TEST_F(MessageSink, ALongMessageIsCut) {
  ASSERT_EQ(::fcntl(write_.get(), F_SETPIPE_SZ, 4096), 4096);
  message_sink(write_.get(), {})(LogLevel::error, std::string(100'000, 'x'));
  const std::string line = read(100'000);
  EXPECT_LT(line.size(), 4096U);
  EXPECT_TRUE(line.ends_with("x\n"));
}

// The command has the same pipe, and takes what room there is; then nobody reads any more.
TEST_F(MessageSink, AnotherWriterDoesNotMakeItWait) {
  std::array<char, 4096> page{};
  iovec one{page.data(), 1};
  if (::pwritev2(write_.get(), &one, 1, -1, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP)
    GTEST_SKIP() << "pipes are not written so before Linux 6.4";
  ASSERT_EQ(read(1).size(), 1U);
  ASSERT_EQ(::fcntl(write_.get(), F_SETPIPE_SZ, 4096), 4096);
  const std::string own_path = "/proc/self/fd/" + std::to_string(write_.get());
  const UniqueFd own(::open(own_path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(own);
  ASSERT_EQ(::fcntl(read_.get(), F_SETFL, O_NONBLOCK), 0);
  const Log::Sink sink = message_sink(write_.get(), {});
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> over = false;
    std::atomic<bool> waits = true;
    std::thread other([&] {
      while (!over) static_cast<void>(::write(own.get(), page.data(), page.size()));
    });
    std::thread talks([&] {
      while (!over) sink(LogLevel::error, "one of many");
      waits = false;
    });
    for (int pages = 0; pages < 100;) pages += read(page.size()).empty() ? 0 : 1;
    over = true;
    other.join();
    for (int i = 0; i < 2000 && waits; ++i) std::this_thread::sleep_for(1ms);
    EXPECT_FALSE(waits);
    while (waits) static_cast<void>(read(page.size()));
    talks.join();
  }
}

TEST_F(MessageSink, NoReaderAtAll) {
  read_.reset();
  std::signal(SIGPIPE, SIG_IGN);
  message_sink(write_.get(), {})(LogLevel::error, "lost");
}

}  // namespace
}  // namespace sf::setup
