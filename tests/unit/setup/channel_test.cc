#include "setup/channel.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup/tap.hh"

namespace sf::setup {
namespace {

TEST(Channel, messages_keep_kind_text_and_bounds) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends.has_value());
  EXPECT_TRUE(ends->first.send(MessageKind::failed, "what failed"));
  EXPECT_TRUE(ends->first.send(MessageKind::ready));
  const auto one = ends->second.receive();
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->kind, MessageKind::failed);
  EXPECT_EQ(one->text, "what failed");
  const auto other = ends->second.receive();
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->kind, MessageKind::ready);
  EXPECT_TRUE(other->text.empty());
}

TEST(Channel, descriptors_arrive_open_and_close_on_exec) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends.has_value());
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  ASSERT_TRUE(ends->first.send(MessageKind::tap, "t", {read_end.get(), write_end.get()}));
  auto message = ends->second.receive();
  ASSERT_TRUE(message.has_value());
  ASSERT_EQ(message->fds.size(), 2U);
  for (const UniqueFd& fd : message->fds) EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  ASSERT_EQ(::write(message->fds[1].get(), "x", 1), 1);
  char got = 0;
  ASSERT_EQ(::read(read_end.get(), &got, 1), 1);
  EXPECT_EQ(got, 'x');
}

TEST(Channel, the_end_of_the_other_side_is_seen) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends.has_value());
  ends->first.close();
  EXPECT_FALSE(ends->second.receive().has_value());
  EXPECT_FALSE(ends->second.send(MessageKind::ready)) << "and without a SIGPIPE";
}

TEST(Channel, long_texts_are_cut) {
  auto ends = Channel::make_pair();
  ASSERT_TRUE(ends.has_value());
  ASSERT_TRUE(ends->first.send(MessageKind::failed, std::string(3 * Channel::kMaxText, 'e')));
  EXPECT_EQ(ends->second.receive()->text.size(), Channel::kMaxText);
}

TEST(TapDescription, crosses_the_channel) {
  TapDevice device;
  device.name = "tap0";
  device.mac = *MacAddress::parse("52:54:00:12:34:56");
  device.offloads = {.checksum = true, .tso4 = false, .tso6 = true, .uso = false};
  device.holds_namespace = true;
  std::vector<UniqueFd> queues;
  queues.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto copy = from_description(describe(device), std::move(queues));
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->name, "tap0");
  EXPECT_EQ(copy->mac, device.mac);
  EXPECT_EQ(copy->offloads, device.offloads);
  EXPECT_TRUE(copy->holds_namespace);
  EXPECT_EQ(copy->queues.size(), 1U);
  EXPECT_FALSE(from_description(describe(device), {}).has_value()) << "without a descriptor";
  std::vector<UniqueFd> more;
  more.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(from_description("", std::move(more)).has_value());
}

}  // namespace
}  // namespace sf::setup
