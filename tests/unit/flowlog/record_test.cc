// Records as text: what is there, what is escaped, how long a line can get.
#include "flowlog/record.hh"

#include <gtest/gtest.h>

namespace sf::flowlog {
namespace {

using namespace std::chrono_literals;

FlowEvent ended() {
  FlowEvent event;
  event.kind = FlowEvent::Kind::ended;
  event.cause = FlowCause::finished;
  event.guest = {Address::v4(10, 0, 2, 100), 40000};
  event.remote = {*Address::parse("2001:db8::1"), 443};
  event.at = Time(5s + 123us);
  event.id = 7;
  event.counts = {1, 2, 3, 4};
  event.duration = 1500us;
  return event;
}

std::string line(const FlowEvent& event, std::chrono::nanoseconds epoch = {}) {
  std::string out;
  append_line(out, Record(event), epoch);
  return out;
}

TEST(Record, AnEndHasAllThatIsKnown) {
  FlowEvent event = ended();
  event.name = "a.test";
  event.server_name = "b.test";
  event.rtt = 20us;
  event.remote_rtt = 30us;
  // 2026-11-25T12:00:00Z
  EXPECT_EQ(
      line(event, 1795608000s - 5s),
      R"({"time":"2026-11-25T12:00:00.000123Z","event":"ended","id":7,"protocol":"tcp","inbound":false,)"
      R"("guest_addr":"10.0.2.100","guest_port":40000,"remote_addr":"2001:db8::1","remote_port":443,)"
      R"("name":"a.test","server_name":"b.test","reason":"finished","bytes_from_guest":1,"bytes_to_guest":2,)"
      R"("packets_from_guest":3,"packets_to_guest":4,"rtt_us":20,"remote_rtt_us":30,"duration_us":1500})"
      "\n");
}

TEST(Record, WhatIsNotKnownHasNoKey) {
  FlowEvent event = ended();
  event.counts_packets = false;
  const std::string text = line(event);
  for (const char* key : {"name", "server_name", "rtt", "packets", "loopback", "forwarder"})
    EXPECT_EQ(text.find(key), std::string::npos) << key;
  event.kind = FlowEvent::Kind::opened;
  EXPECT_TRUE(line(event).ends_with("\"remote_port\":443}\n"));
}

TEST(Record, AQuestionHasNoRemoteEnd) {
  FlowEvent event = ended();
  event.kind = FlowEvent::Kind::refused;
  event.protocol = FlowProtocol::dns;
  event.cause = FlowCause::policy;
  event.name = "x.test";
  const std::string text = line(event);
  EXPECT_EQ(text.find("remote"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\"name\":\"x.test\",\"reason\":\"policy\"}\n"));
}

TEST(Record, WhatTheGuestChoosesIsEscaped) {
  FlowEvent event = ended();
  event.server_name = "a\"b\\c\nd\xff\x7f";
  EXPECT_NE(line(event).find(R"("server_name":"a\"b\\c\u000ad\u00ff\u007f")"), std::string::npos)
      << line(event);
}

TEST(Record, ALineIsBounded) {
  FlowEvent event = ended();
  const std::string long_name(70000, '\x01');
  event.name = event.server_name = long_name;
  event.id = event.counts.bytes_from_guest = event.counts.bytes_to_guest = ~std::uint64_t{0};
  event.counts.packets_from_guest = event.counts.packets_to_guest = ~std::uint64_t{0};
  event.rtt = event.remote_rtt = event.duration = Duration::max();
  event.loopback = event.forwarder = true;
  EXPECT_LT(line(event).size(), kMaxLine);
}

TEST(Record, MissingOnes) {
  std::string out;
  append_dropped(out, 12, 0s);
  EXPECT_EQ(out, "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"event\":\"dropped\",\"count\":12}\n");
}

}  // namespace
}  // namespace sf::flowlog
