// What top shows, and what keys do to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/printable.hh"
#include "cli/screen.hh"
#include "cli/sparkline.hh"
#include "cli/top_chooser.hh"
#include "cli/top_flows.hh"
#include "cli/top_keys.hh"

namespace sf::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Kind = Key::Kind;

Key typed(char c) {
  return {Kind::character, c};
}

TEST(TopKeys, sequences_in_one_piece_or_in_several) {
  std::string text = "q\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~\rx";
  EXPECT_THAT(take_keys(text), ElementsAre(typed('q'), Key{Kind::up, 0}, Key{Kind::down, 0},
                                           Key{Kind::page_up, 0}, Key{Kind::page_down, 0}, Key{Kind::home, 0},
                                           Key{Kind::end, 0}, Key{Kind::enter, 0}, typed('x')));
  EXPECT_EQ(text, "");
  std::vector<Key> keys;
  for (const char c : std::string("\x1b[6~j\x1b[B")) {
    text += c;
    for (const Key& key : take_keys(text)) keys.push_back(key);
  }
  EXPECT_THAT(keys, ElementsAre(Key{Kind::page_down, 0}, typed('j'), Key{Kind::down, 0}));
}

TEST(TopKeys, what_is_none) {
  std::string text = "\x01\x7f\xc3\xa4\x1b\x1b[1;5A\x1b[99~\x1b[Zq";
  EXPECT_THAT(take_keys(text), ElementsAre(typed('q')));
  text = "\x1b[" + std::string(100, '1');
  EXPECT_TRUE(take_keys(text).empty());
  EXPECT_EQ(text, "") << "it is kept for ever";
}

TEST(Sparkline, heights) {
  EXPECT_EQ(sparkline({0, 1, 50, 100}, 4, 100, true), " ▁▄█");
  EXPECT_EQ(sparkline({0, 1, 50, 100}, 6, 100, false), "   .-#");
  EXPECT_EQ(sparkline({0, 1, 50, 100}, 2, 100, false), "-#");
  EXPECT_EQ(sparkline({}, 3, 1, true), "   ");
  EXPECT_EQ(sparkline({200}, 1, 100, true), "█");
}

TEST(Screen, only_what_has_changed_is_sent) {
  Screen screen(true);
  EXPECT_EQ(screen.draw({{"one", Look::title}, {"", Look::plain}, {"three", Look::to_guest}}),
            "\x1b[0m\x1b[2J\x1b[1;1H\x1b[1mone\x1b[0m\x1b[K\x1b[3;1H\x1b[32mthree\x1b[0m\x1b[K");
  EXPECT_EQ(screen.draw({{"one", Look::title}, {"", Look::plain}, {"three", Look::to_guest}}), "");
  EXPECT_EQ(screen.draw({{"one", Look::title}, {"two", Look::plain}, {"", Look::plain}}),
            "\x1b[2;1Htwo\x1b[0m\x1b[K\x1b[3;1H\x1b[0m\x1b[K");
  screen.forget();
  EXPECT_THAT(screen.draw({{"one", Look::plain}}), StartsWith("\x1b[0m\x1b[2J"));
  Screen plain(false);
  EXPECT_THAT(plain.draw({{"one", Look::to_guest}, {"two", Look::warning}}), Not(HasSubstr("[3")));
}

FlowReply flow(std::uint16_t port, std::uint64_t from_guest, std::uint64_t to_guest) {
  FlowReply flow;
  flow.protocol = "tcp";
  flow.guest_addr = "10.0.2.100";
  flow.guest_port = port;
  flow.remote_addr = "192.0.2.1";
  flow.remote_port = 443;
  flow.state = "ESTABLISHED";
  flow.bytes_from_guest = from_guest;
  flow.bytes_to_guest = to_guest;
  return flow;
}

class TopFlowsTest : public testing::Test {
 protected:
  static InfoReply info() {
    InfoReply info;
    info.target = "curl \x1b[2J";
    info.guest4 = "10.0.2.100";
    return info;
  }
  void update(std::uint64_t seconds, std::vector<FlowReply> flows, const StatisticsReply& statistics = {}) {
    FlowsReply reply;
    reply.uptime_us = seconds * 1'000'000;
    reply.total = flows.size();
    reply.flows = std::move(flows);
    page.update(std::move(reply), statistics);
  }
  std::vector<std::string> text(unsigned rows = 24, unsigned columns = 120) {
    std::vector<std::string> out;
    for (const ScreenLine& line : page.lines(rows, columns)) out.push_back(line.text);
    EXPECT_EQ(out.size(), rows);
    for (const std::string& line : out) {
      EXPECT_LE(width(line), columns) << line;
      EXPECT_EQ(printable(line), line);
    }
    return out;
  }
  // The guest's ports in the order in which they are shown.
  std::vector<std::string> ports(unsigned rows = 24) {
    std::vector<std::string> out;
    for (const std::string& line : text(rows)) {
      const auto at = line.find("10.0.2.100:");
      if (line.starts_with("tcp") && at != std::string::npos) out.push_back(line.substr(at + 11, 4));
    }
    return out;
  }

  TopFlows page{"slirp-forwarder 4711", info(), true};
};

TEST_F(TopFlowsTest, rates_and_throughput) {
  StatisticsReply statistics;
  statistics.bytes_to_guest = 1'000'000;
  update(10, {flow(1000, 0, 1'000'000)}, statistics);
  EXPECT_THAT(text()[1], StartsWith("from guest        0 B/s"));
  statistics.bytes_to_guest += 2 << 20;
  statistics.bytes_from_guest = 4096;
  update(12, {flow(1000, 4096, 1'000'000 + (2 << 20))}, statistics);
  const auto lines = text();
  EXPECT_EQ(lines[0], "slirp-forwarder 4711  up 12s  10.0.2.100  curl \\x1b[2J");
  EXPECT_THAT(lines[1], StartsWith("from guest    2.0 KiB/s"));
  EXPECT_THAT(lines[2], StartsWith("to guest      1.0 MiB/s"));
  EXPECT_THAT(lines[2], HasSubstr("█  max 1.0 MiB/s"));
  EXPECT_THAT(lines[7], HasSubstr("2.0 KiB/s  1.0 MiB/s"));
}

TEST_F(TopFlowsTest, order) {
  update(1, {flow(1000, 500, 0), flow(2000, 0, 0), flow(3000, 100, 0)});
  update(2, {flow(1000, 500, 0), flow(2000, 90, 0), flow(3000, 110, 0)});
  EXPECT_THAT(ports(), ElementsAre("2000", "3000", "1000"));
  page.on_key(typed('s'));  // bytes
  EXPECT_THAT(ports(), ElementsAre("1000", "3000", "2000"));
  page.on_key(typed('r'));
  EXPECT_THAT(ports(), ElementsAre("2000", "3000", "1000"));
  page.on_key(typed('r'));
  page.on_key(typed('S'));  // rate again
  page.on_key(typed('S'));  // state
  page.on_key(typed('S'));  // guest
  EXPECT_THAT(ports(), ElementsAre("1000", "2000", "3000"));
  EXPECT_THAT(text().back(), HasSubstr("sort: guest"));
}

TEST_F(TopFlowsTest, pause) {
  update(1, {flow(1000, 0, 0)});
  page.on_key(typed(' '));
  update(2, {flow(2000, 0, 0)});
  EXPECT_THAT(ports(), ElementsAre("1000"));
  EXPECT_THAT(text().back(), HasSubstr("paused"));
  page.on_key(typed(' '));
  update(3, {flow(2000, 0, 0)});
  EXPECT_THAT(ports(), ElementsAre("2000"));
}

TEST_F(TopFlowsTest, scrolling_ends_at_both_ends) {
  std::vector<FlowReply> flows;
  for (std::uint16_t i = 0; i < 20; ++i)
    flows.push_back(flow(static_cast<std::uint16_t>(1000 + i), 100U - i, 0));
  update(1, flows);
  EXPECT_EQ(ports(13).size(), 5U);
  EXPECT_THAT(text(13).back(), HasSubstr("1-5 of 20"));
  page.on_key({Kind::up, 0});
  EXPECT_THAT(ports(13).front(), "1000");
  page.on_key({Kind::page_down, 0});
  EXPECT_THAT(ports(13).front(), "1005");
  page.on_key({Kind::end, 0});
  EXPECT_THAT(ports(13), ElementsAre("1015", "1016", "1017", "1018", "1019"));
  page.on_key({Kind::down, 0});
  EXPECT_THAT(ports(13).back(), "1019");
  page.on_key({Kind::up, 0});
  EXPECT_THAT(ports(13).front(), "1014");
  page.on_key({Kind::home, 0});
  EXPECT_THAT(ports(13).front(), "1000");
}

TEST_F(TopFlowsTest, names_drops_and_refusals_are_printable) {
  FlowReply named = flow(1000, 0, 0);
  named.name = "evil\x1b[31m.test";
  StatisticsReply statistics;
  statistics.frames_dropped = 7;
  statistics.drops = {{"bad-checksum", 5}, {"\x1bnone", 2}};
  statistics.refusals = 3;
  statistics.refused = {{"dns \x07", 3}};
  update(1, {named}, statistics);
  const auto lines = text();
  EXPECT_EQ(lines[4], "dropped 7: bad-checksum 5, \\x1bnone 2");
  EXPECT_EQ(lines[5], "refused 3: dns \\x07 3");
  EXPECT_THAT(lines[7], HasSubstr("evil\\x1b[31m.test:443"));
}

TEST_F(TopFlowsTest, any_size) {
  update(1, {flow(1000, 1, 1)});
  for (unsigned rows = 1; rows < 12; ++rows) {
    for (unsigned columns = 1; columns < 130; columns += 7) text(rows, columns);
  }
}

TEST_F(TopFlowsTest, a_complaint_stays_until_the_next_answer) {
  page.complain("it does not\nanswer");
  EXPECT_EQ(text().back(), "it does not\\x0aanswer");
  update(1, {});
  EXPECT_THAT(text().back(), StartsWith("q quit"));
  EXPECT_FALSE(page.quits());
  page.on_key(typed('q'));
  EXPECT_TRUE(page.quits());
}

TEST(TopChooser, one_of_several) {
  std::vector<ListedInstance> instances(20);
  for (std::size_t i = 0; i < instances.size(); ++i) instances[i].pid = std::to_string(100 + i);
  TopChooser chooser(instances);
  chooser.on_key({Kind::up, 0});
  for (int i = 0; i < 7; ++i) chooser.on_key({Kind::down, 0});
  const auto lines = chooser.lines(6, 80);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[4].look, Look::chosen);
  EXPECT_THAT(lines[4].text, HasSubstr(" 107  "));
  chooser.on_key({Kind::enter, 0});
  EXPECT_EQ(chooser.chosen(), std::optional<std::size_t>(7));
}

}  // namespace
}  // namespace sf::cli
