// How long a scrape takes, by how many flows there are.
#include "engine/metrics.hh"

#include <chrono>

#include "unit/engine/shard_fixture.hh"

namespace sf::engine {
namespace {

class MetricsTest : public ShardTest {
 protected:
  void open(std::size_t flows) {
    constexpr std::size_t kPorts = 60000;
    for (std::size_t i = 0; i < flows; ++i) {
      wire::TcpSegment s = syn(static_cast<std::uint16_t>(80 + i / kPorts));
      s.source_port = static_cast<std::uint16_t>(1 + i % kPorts);
      frame(tcp_frame(ip_to(remote(), wire::IpProtocol::tcp), s));
      link_.sent.clear();
      now_ += Duration(1s) / OpeningBudget::kPerSecond;  // or it is a flood
    }
  }
  // The quickest of many, so that a busy machine does not matter.
  std::chrono::nanoseconds quickest() const {
    auto least = std::chrono::nanoseconds::max();
    for (int i = 0; i < 300; ++i) {
      const auto before = std::chrono::steady_clock::now();
      const Metrics metrics = shard_->metrics();
      const auto after = std::chrono::steady_clock::now();
      EXPECT_GT(metrics.packets.from_guest, 0U);
      least = std::min<std::chrono::nanoseconds>(least, after - before);
    }
    return least;
  }
};

INSTANTIATE_TEST_SUITE_P(Version, MetricsTest, testing::Values(true), version_name);

TEST_P(MetricsTest, AScrapeTakesAsLongWithManyFlowsAsWithOne) {
  config_.limits.half_open = 65536;
  start();
  open(1);
  const auto with_one = quickest();
  open(65536);
  std::size_t flows = 0;
  for (const std::size_t count : shard_->metrics().tcp_flows) flows += count;
  ASSERT_EQ(flows, 65536U);
  const auto with_many = quickest();
  // A look at each flow would take hundreds of times as long.
  EXPECT_LT(with_many, 4 * with_one + std::chrono::microseconds(2)) << with_one.count() << " ns with one";
  RecordProperty("with_one_ns", std::to_string(with_one.count()));
  RecordProperty("with_many_ns", std::to_string(with_many.count()));
}

}  // namespace
}  // namespace sf::engine
