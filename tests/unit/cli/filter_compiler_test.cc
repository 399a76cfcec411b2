#include "cli/filter_compiler.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/packet_filter.hh"

namespace sf::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string wrong(const std::string& filter) {
  const auto program = compile_filter(filter);
  const std::string message = program ? "it was taken" : program.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

TEST(FilterCompiler, what_the_instance_takes) {
  const auto program = compile_filter("udp port 53");
  ASSERT_TRUE(program) << program.error().message;
  std::vector<std::uint8_t> frame(60);
  frame[12] = 0x08;
  frame[14] = 0x45;
  frame[23] = 17;
  frame[37] = 53;
  const auto filter = wire::PacketFilter::parse(*program);
  ASSERT_TRUE(filter) << filter.error().message;
  EXPECT_TRUE(filter->accepts(frame, frame.size()));
  frame[37] = 54;
  EXPECT_FALSE(filter->accepts(frame, frame.size()));
}

TEST(FilterCompiler, libpcaps_own_words) {
  EXPECT_THAT(wrong("tcp prt 80"), AllOf(StartsWith("filter 'tcp prt 80': "), HasSubstr("syntax error"),
                                         HasSubstr("pcap-filter(7)")));
  EXPECT_THAT(wrong("x\033[2J"), HasSubstr("filter 'x\\x1b[2J'"));
}

TEST(FilterCompiler, what_no_instance_takes) {
  EXPECT_THAT(wrong("ip protochain 6"), HasSubstr("protochain"));
}

}  // namespace
}  // namespace sf::cli
