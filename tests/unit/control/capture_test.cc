// Recordings: what is in them, what is lost and counted, and how they travel over the control socket.
#include "control/capture.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "control/requests.hh"
#include "unit/control/control_fixture.hh"
#include "unit/support/pcapng_reader.hh"

namespace sf::control {
namespace {

using link::Direction;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint16_t kSeen = 4, kLost = 5, kAccepted = 6;
// "len > 100"
constexpr const char* kAbove100 = "4 128 0 0 0 37 0 1 100 6 0 0 262144 6 0 0 0";

std::vector<std::uint8_t> frame_of(std::size_t size, std::uint8_t fill = 7) {
  return std::vector<std::uint8_t>(size, fill);
}

class CaptureTest : public ::testing::Test {
 protected:
  std::unique_ptr<Stream> add(const char* filter = nullptr, std::uint32_t snap_length = 262144) {
    CaptureRequest request{{}, snap_length};
    if (filter != nullptr) request.filter = *wire::PacketFilter::parse(filter);
    return captures_.add(std::move(request));
  }
  void pass(const std::vector<std::uint8_t>& frame, Direction direction = Direction::from_guest) {
    captures_.on_frame(std::array{Bytes{frame}}, {}, direction);
  }
  // All that there was from the beginning of `stream` on.
  static Recording all_of(Stream& stream) {
    stream.finish();
    std::vector<std::uint8_t> out;
    stream.take(out);
    return Recording(out);
  }

  std::chrono::nanoseconds time_{1000};
  int wakes_ = 0;
  std::vector<bool> uses_;
  Captures captures_{"tap7",
                     {.unix_time = [this] { return time_ += std::chrono::nanoseconds(1); },
                      .wake = [this] { ++wakes_; },
                      .use = [this](bool used) { uses_.push_back(used); }}};
};

TEST_F(CaptureTest, both_directions_in_order) {
  const auto stream = add();
  pass(frame_of(60, 1), Direction::from_guest);
  pass(frame_of(61, 2), Direction::to_guest);
  const Recording recording = all_of(*stream);
  EXPECT_EQ(recording.blocks(), (std::vector<std::uint32_t>{0x0a0d0d0a, 1, 6, 6, 5}));
  ASSERT_EQ(recording.packets.size(), 2U);
  EXPECT_EQ(recording.packets[0].bytes, frame_of(60, 1));
  EXPECT_EQ(recording.packets[0].flags, 2U);  // outbound
  EXPECT_EQ(recording.packets[1].bytes, frame_of(61, 2));
  EXPECT_EQ(recording.packets[1].flags, 1U);
  EXPECT_LT(recording.packets[0].time, recording.packets[1].time);
  EXPECT_EQ(recording.statistics,
            (std::map<std::uint16_t, std::uint64_t>{{kSeen, 2}, {kLost, 0}, {kAccepted, 2}}));
}

TEST_F(CaptureTest, is_used_while_somebody_looks_on_only) {
  EXPECT_TRUE(uses_.empty());
  auto one = add();
  auto two = add();
  EXPECT_EQ(uses_, std::vector{true});
  one.reset();
  EXPECT_EQ(uses_, std::vector{true});
  two.reset();
  EXPECT_EQ(uses_, (std::vector{true, false}));
  pass(frame_of(60));
  EXPECT_EQ(wakes_, 0);
}

TEST_F(CaptureTest, as_many_as_there_may_be) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::size_t i = 0; i < Captures::kMaxCaptures; ++i) {
    streams.push_back(add());
    ASSERT_TRUE(streams.back());
  }
  EXPECT_FALSE(add());
  streams.pop_back();
  EXPECT_TRUE(add());
}

TEST_F(CaptureTest, a_filter_sees_what_is_in_several_parts) {
  // ether[100] = 9, and the frame has it in its third part.
  const auto stream = add("4 48 0 0 100 21 0 1 9 6 0 0 262144 6 0 0 0");
  auto head = frame_of(54), middle = frame_of(40), rest = frame_of(3000);
  rest[6] = 9;
  captures_.on_frame(std::array{Bytes{head}, Bytes{middle}, Bytes{rest}}, {}, Direction::to_guest);
  rest[6] = 8;
  captures_.on_frame(std::array{Bytes{head}, Bytes{middle}, Bytes{rest}}, {}, Direction::to_guest);
  const Recording recording = all_of(*stream);
  ASSERT_EQ(recording.packets.size(), 1U);
  EXPECT_EQ(recording.packets[0].bytes.size(), 3094U);
  EXPECT_EQ(recording.packets[0].bytes[100], 9);
  EXPECT_EQ(recording.statistics.at(kSeen), 2U);
  EXPECT_EQ(recording.statistics.at(kAccepted), 1U);
}

TEST_F(CaptureTest, each_has_a_filter_of_its_own) {
  const auto all = add();
  const auto some = add(kAbove100);
  pass(frame_of(60));
  pass(frame_of(160));
  EXPECT_EQ(all_of(*all).packets.size(), 2U);
  EXPECT_EQ(all_of(*some).packets.size(), 1U);
}

TEST_F(CaptureTest, frames_are_cut_off_where_that_is_asked_for) {
  const auto stream = add(nullptr, 40);
  const auto head = frame_of(30, 1), rest = frame_of(60'000, 2);
  captures_.on_frame(std::array{Bytes{head}, Bytes{rest}}, {}, Direction::to_guest);
  const Recording recording = all_of(*stream);
  ASSERT_EQ(recording.packets.size(), 1U);
  EXPECT_EQ(recording.packets[0].size, 60'030U);
  auto expected = head;
  expected.insert(expected.end(), 10, 2);
  EXPECT_EQ(recording.packets[0].bytes, expected);
}

TEST_F(CaptureTest, what_there_is_no_room_for_is_counted) {
  const auto stream = add();
  const auto other = add(kAbove100);
  const auto large = frame_of(60'000);
  std::size_t passed = 0;
  for (std::size_t bytes = 0; bytes < 2 * Captures::kMaxWaiting; bytes += large.size(), ++passed) pass(large);
  std::vector<std::uint8_t> piece;
  stream->take(piece);
  EXPECT_LE(piece.size(), Captures::kMaxWaiting);
  EXPECT_GT(piece.size(), Captures::kMaxWaiting - 100'000);
  const std::size_t recorded = Recording(piece).packets.size();
  // Room again: the next one says what was lost before it, and only it.
  pass(frame_of(60));
  pass(frame_of(60));
  const Recording rest = all_of(*stream);
  ASSERT_EQ(rest.packets.size(), 2U);
  EXPECT_EQ(rest.packets[0].lost, passed - recorded);
  EXPECT_GT(rest.packets[0].lost, 50U);
  EXPECT_EQ(rest.packets[1].lost, 0U);
  EXPECT_EQ(rest.statistics.at(kLost), passed - recorded);
  EXPECT_EQ(rest.statistics.at(kSeen), passed + 2);
}

TEST_F(CaptureTest, wakes_once_until_it_is_delivered) {
  int ready = 0;
  const auto stream = add();
  stream->when_ready([&] { ++ready; });
  std::vector<std::uint8_t> out;
  stream->take(out);
  captures_.deliver();
  EXPECT_EQ(ready, 0);
  for (int i = 0; i < 3; ++i) pass(frame_of(60));
  EXPECT_EQ(wakes_, 1);
  captures_.deliver();
  EXPECT_EQ(ready, 1);
  pass(frame_of(60));
  EXPECT_EQ(wakes_, 2);
}

TEST_F(CaptureTest, frames_that_nobody_wants_wake_nobody) {
  const auto stream = add(kAbove100);
  for (int i = 0; i < 100; ++i) pass(frame_of(60));
  EXPECT_EQ(wakes_, 0);
}

TEST_F(CaptureTest, telling_one_may_end_all) {
  auto one = add();
  auto two = add();
  const auto end_both = [&] {
    one.reset();
    two.reset();
  };
  one->when_ready(end_both);
  two->when_ready(end_both);
  pass(frame_of(60));
  captures_.deliver();
  EXPECT_EQ(uses_, (std::vector{true, false}));
}

TEST_F(CaptureTest, several_threads) {
  const auto stream = add();
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (std::uint8_t n = 1; n <= 4; ++n)
    threads.emplace_back([this, n] {
      for (int i = 0; i < 1000; ++i) pass(frame_of(60 + n, n));
    });
  for (auto& thread : threads) thread.join();
  const Recording recording = all_of(*stream);
  ASSERT_EQ(recording.packets.size(), 4000U);
  std::uint64_t last = 0;
  for (const RecordedPacket& packet : recording.packets) {
    EXPECT_EQ(packet.bytes, frame_of(60 + packet.bytes[0], packet.bytes[0]));
    EXPECT_LT(last, packet.time);
    last = packet.time;
  }
}

// --- over the control socket

class CaptureSocket : public ServerFixture {
 protected:
  void pass(std::size_t size) {
    const auto frame = frame_of(size);
    instance.captures.on_frame(std::array{Bytes{frame}}, {}, Direction::to_guest);
    instance.captures.deliver();
  }
  RawClient begin(const char* arguments = "{}") {
    RawClient client(path);
    client.send(fmt::format(R"({{"execute":"capture","arguments":{}}})", arguments));
    turns();
    EXPECT_FALSE(client.closed());
    return client;
  }
  static Recording recording_of(const RawClient& client) {
    return Recording({client.reply().begin(), client.reply().end()});
  }
};

TEST_F(CaptureSocket, frames_come_as_they_pass) {
  RawClient client = begin();
  EXPECT_TRUE(instance.looked_at);
  EXPECT_THAT(client.reply(), StartsWith("\x0a\x0d\x0d\x0a"));
  for (std::size_t n = 1; n <= 3; ++n) {
    pass(100);
    EXPECT_FALSE(client.closed());
    EXPECT_EQ(recording_of(client).packets.size(), n);
  }
  EXPECT_FALSE(ready()) << "the caller would be woken for nothing";
}

TEST_F(CaptureSocket, ends_in_good_order) {
  RawClient client = begin(R"({"filter":"1 6 0 0 262144","snap_length":50})");
  pass(100);
  client.finish();
  turns();
  EXPECT_TRUE(client.closed());
  EXPECT_FALSE(client.reset());
  const Recording recording = recording_of(client);
  EXPECT_EQ(recording.blocks(), (std::vector<std::uint32_t>{0x0a0d0d0a, 1, 6, 5}));
  EXPECT_EQ(recording.packets[0].bytes.size(), 50U);
  EXPECT_FALSE(instance.looked_at);
}

TEST_F(CaptureSocket, goes_with_its_client) {
  for (int round = 0; round < 10; ++round) {
    std::vector<RawClient> clients;
    for (std::size_t i = 0; i < Captures::kMaxCaptures; ++i) clients.push_back(begin());
    EXPECT_THAT(ask(R"({"execute":"capture"})"), HasSubstr("captures enough"));
    for (RawClient& client : clients) client.hang_up();
    if (round % 2 == 1) pass(100);
    turns();
    EXPECT_FALSE(instance.looked_at);
  }
}

TEST_F(CaptureSocket, one_that_does_not_read_loses_frames_and_delays_nobody) {
  RawClient slow = begin();
  RawClient quick = begin();
  const std::size_t frames = 4 * Captures::kMaxWaiting / 60'000;
  for (std::size_t i = 0; i < frames; ++i) {
    pass(60'000);
    turns();
    EXPECT_FALSE(quick.closed());
  }
  EXPECT_EQ(recording_of(quick).packets.size(), frames);
  EXPECT_EQ(ask(R"({"execute":"version"})"), R"({"return":{"version":"1.2.3"}})");
  EXPECT_FALSE(ready()) << "the caller would be woken for nothing";
  // It reads again: whole blocks, with the number of those that are missing.
  slow.finish();
  for (int i = 0; i < 1000 && !slow.closed(); ++i) turns();
  const Recording recording = recording_of(slow);
  EXPECT_GT(recording.statistics.at(kLost), 0U);
  EXPECT_EQ(recording.packets.size() + recording.statistics.at(kLost), frames);
  EXPECT_LE(slow.reply().size(), 2 * Captures::kMaxWaiting + 1'000'000);
}

TEST_F(CaptureSocket, one_that_looks_at_nothing_may_stay) {
  start({.tick = 1ms});
  RawClient client = begin();
  for (unsigned tick = 0; tick < 5 * Server::kReadTicks; ++tick) {
    ASSERT_TRUE(ready(5000));
    server->on_ready();
  }
  EXPECT_FALSE(client.closed());
  // But not for ever where it has said that it wants no more, and does not take the rest.
  for (int i = 0; i < 100; ++i) pass(60'000);
  client.finish();
  EXPECT_TRUE(run_until([&] { return !instance.looked_at; }));
}

TEST_F(CaptureSocket, bad_arguments) {
  const auto refused = [this](const char* arguments) {
    return ask(fmt::format(R"({{"execute":"capture","arguments":{}}})", arguments));
  };
  for (const char* arguments :
       {R"({"filter":7})", R"({"snap_length":0})", R"({"snap_length":262145})", R"({"snap_length":"x"})"})
    EXPECT_THAT(refused(arguments), HasSubstr("capture: bad arguments.")) << arguments;
  EXPECT_THAT(refused(R"({"filter":"tcp"})"), HasSubstr("tcpdump -ddd"));
  EXPECT_FALSE(instance.looked_at);
}

TEST_F(CaptureSocket, no_stream_where_there_is_no_connection) {
  EXPECT_EQ(answer(R"({"execute":"capture"})", instance),
            R"({"error":{"desc":"bad request: unknown execute"}})");
}

}  // namespace
}  // namespace sf::control
