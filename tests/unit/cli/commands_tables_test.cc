// What people are shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/printable.hh"
#include "cli/tables.hh"

namespace sf::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

PortReply port(std::uint64_t id, const std::string& proto, const std::string& address, std::uint16_t host,
               std::uint16_t guest) {
  PortReply made;
  made.id = id;
  made.port = "rule";
  made.proto = proto;
  made.host_addr = address;
  made.host_port = host;
  made.guest_port = guest;
  return made;
}

ListedInstance listed(const std::string& pid, const std::string& target) {
  ListedInstance made;
  made.pid = pid;
  made.info.target = target;
  made.info.guest4 = "10.0.2.100";
  return made;
}

TEST(CommandTables, sizes) {
  for (const auto& [bytes, text] : {std::pair<std::uint64_t, const char*>{0, "0 B"},
                                    {1023, "1023 B"},
                                    {1024, "1.0 KiB"},
                                    {1536, "1.5 KiB"},
                                    {1048524, "1023.9 KiB"},
                                    {1048575, "1.0 MiB"},
                                    {1 << 20, "1.0 MiB"},
                                    {std::uint64_t{5} << 30, "5.0 GiB"},
                                    {18446744073709551615U, "16.0 EiB"}}) {
    EXPECT_EQ(human_size(bytes), text);
  }
}

TEST(CommandTables, times) {
  for (const auto& [seconds, text] : {std::pair<std::uint64_t, const char*>{0, "0s"},
                                      {59, "59s"},
                                      {60, "1m00s"},
                                      {192, "3m12s"},
                                      {3599, "59m59s"},
                                      {3600, "1h00m"},
                                      {7500, "2h05m"},
                                      {86399, "23h59m"},
                                      {86400, "1d00h"},
                                      {273600, "3d04h"}}) {
    EXPECT_EQ(human_uptime(seconds), text);
  }
  for (const auto& [us, text] : {std::pair<std::uint64_t, const char*>{0, "0us"},
                                 {999, "999us"},
                                 {1000, "1.0ms"},
                                 {40123, "40.1ms"},
                                 {999949, "999.9ms"},
                                 {999950, "1.0s"},
                                 {3400000, "3.4s"}}) {
    EXPECT_EQ(human_rtt(us), text);
  }
}

TEST(CommandTables, instances) {
  EXPECT_EQ(instances_table({}), "");
  ListedInstance first = listed("4711", "sh -c x");
  first.info.uptime_s = 192;
  first.info.guest6 = "fd00::100";
  first.info.flows = 12;
  first.info.bytes_from_guest = 1536;
  first.info.ports = {port(1, "tcp", "", 8080, 80)};
  EXPECT_EQ(instances_table({first, listed("47", "/run/ns")}),
            "PID   UPTIME  GUEST                 FLOWS  FROM GUEST  TO GUEST  PORTS        TARGET\n"
            "4711   3m12s  10.0.2.100 fd00::100     12     1.5 KiB       0 B  tcp/8080:80  sh -c x\n"
            "47        0s  10.0.2.100                0         0 B       0 B  -            /run/ns\n");
}

TEST(CommandTables, ports_of_an_instance_are_ranges_and_not_all) {
  ListedInstance one = listed("1", "x");
  one.info.ports = {port(1, "tcp", "", 8000, 80), port(2, "tcp", "", 8001, 81), port(3, "tcp", "", 8002, 82),
                    port(4, "tcp", "", 8003, 84), port(5, "udp", "::1", 8004, 85)};
  EXPECT_THAT(instances_table({one}),
              HasSubstr("  tcp/8000-8002:80-82, tcp/8003:84, udp/[::1]:8004:85  x\n"));
  one.info.ports.push_back(port(6, "udp", "127.0.0.1", 8005, 86));
  one.info.ports.push_back(port(7, "udp", "127.0.0.1", 8006, 87));
  EXPECT_THAT(instances_table({one}), HasSubstr("udp/[::1]:8004:85 and 2 more  x\n"));
}

TEST(CommandTables, a_target_cannot_act_on_the_terminal) {
  const std::string table =
      instances_table({listed("1", "a\x1b[2J\nb\r\t\x7f \xc2\x9b \xe2\x80\xae \xff \xc3\xa4")});
  EXPECT_THAT(table, HasSubstr(R"(a\x1b[2J\x0ab\x0d\x09\x7f \x9b \u202e \xff )"
                               "\xc3\xa4\n"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 2);
  EXPECT_THAT(instances_table({listed("1", std::string(500, 'x'))}),
              HasSubstr("  " + std::string(97, 'x') + "...\n"));
}

TEST(CommandTables, ports) {
  EXPECT_EQ(ports_table({}), "");
  PortReply guest_named = port(10, "udp", "::1", 53, 5300);
  guest_named.guest_addr = "fd00::5";
  guest_named.accepted = 1234;
  PortReply loopback = port(11, "tcp", "127.0.0.1", 90, 91);
  loopback.loopback = true;
  EXPECT_EQ(ports_table({port(1, "tcp", "", 8080, 80), guest_named, loopback}),
            "ID  PROTO  HOST          GUEST           ACCEPTED\n"
            " 1  tcp    *:8080        80                     0\n"
            "10  udp    [::1]:53      [fd00::5]:5300      1234\n"
            "11  tcp    127.0.0.1:90  91 (loopback)          0\n");
  EXPECT_EQ(port_lines({guest_named, loopback}), "rule\nrule\n");
}

TEST(CommandTables, flows) {
  EXPECT_EQ(flows_table({}), "");
  FlowRows flows;
  flows.total = 2;
  flows.rows.resize(2);
  FlowReply& tcp = flows.rows[0].flow;
  tcp = {"tcp", true, "fd00::100", 80, "2001:db8::1", 4000, "ESTABLISHED", 2048, 5, 77, 1234};
  flows.rows[0].rate_from_guest = 1 << 20;
  flows.rows[0].rate_to_guest = 0;
  flows.rows[1].flow = {"udp", false, "10.0.2.100", 53, "", 0, "", 1, 2, std::nullopt, std::nullopt};
  EXPECT_EQ(flows_table(flows),
            "PROTO  GUEST               REMOTE              STATE          RTT  GUEST RTT  FROM GUEST  TO "
            "GUEST     "
            "SENT  RECEIVED\n"
            "tcp    [fd00::100]:80  <-  [2001:db8::1]:4000  ESTABLISHED  1.2ms       77us   1.0 MiB/s     0 "
            "B/s  2.0 KiB "
            "      5 B\n"
            "udp    10.0.2.100:53   ->  *                   -                -          -           -        "
            " -      1 B "
            "      2 B\n");
  flows.total = 5000;
  EXPECT_TRUE(flows_table(flows).ends_with("\n2 of 5000 flows\n"));
}

TEST(CommandTables, hostile_text_in_any_column) {
  PortReply bad = port(1, "\x1b", "\x1b", 1, 1);
  bad.port = "\x1b\n";
  bad.guest_addr = "\x1b";
  FlowRows flows;
  flows.rows.resize(1);
  flows.rows[0].flow = {"\x1b", true, "\x1b", 80, "\x1b", 4000, "\x1b", 0, 0, std::nullopt, std::nullopt};
  ListedInstance one = listed("1", "x");
  one.info.guest4 = "\x1b";
  one.info.guest6 = "\x1b";
  one.info.ports = {bad};
  for (const std::string& text :
       {ports_table({bad}), port_lines({bad}), flows_table(flows), instances_table({one})}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, HasSubstr("\\x1b"));
  }
}

TEST(Printable, cutting_keeps_characters_whole) {
  EXPECT_EQ(cut("abcdef", 6), "abcdef");
  EXPECT_EQ(cut("abcdefg", 6), "abc...");
  EXPECT_EQ(cut("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6", 4), "\xc3\xa4...");
  EXPECT_EQ(width("\xc3\xa4x"), 2U);
}

TEST(Printable, every_short_text_becomes_valid_and_visible) {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string text{static_cast<char>(first), static_cast<char>(second)};
      for (const char c : printable(text)) {
        ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << first << ' ' << second;
      }
      ASSERT_EQ(printable(printable(text)), printable(text));
    }
  }
  EXPECT_EQ(printable("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");           // overlong
  EXPECT_EQ(printable("\xf0\x9f\x98"), "\\xf0\\x9f\\x98");  // cut off
}

}  // namespace
}  // namespace sf::cli
