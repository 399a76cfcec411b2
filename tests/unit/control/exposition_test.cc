#include "control/exposition.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "control/metrics.hh"

namespace sf::control {
namespace {

using testing::HasSubstr;
using testing::Not;
using Type = Exposition::Type;

TEST(Exposition, a_family_and_its_samples) {
  Exposition out;
  out.family("a_total", Type::counter, "How many.");
  out.sample({}, 18446744073709551615U);
  out.sample({{"kind", "x"}, {"way", "in"}}, 2);
  out.family("b_seconds", Type::gauge, "How long.");
  out.seconds({}, 1.5);
  EXPECT_EQ(out.take(),
            "# HELP a_total How many.\n# TYPE a_total counter\na_total 18446744073709551615\n"
            "a_total{kind=\"x\",way=\"in\"} 2\n"
            "# HELP b_seconds How long.\n# TYPE b_seconds gauge\nb_seconds 1.500\n");
}

TEST(Exposition, text_is_escaped) {
  Exposition out;
  out.family("a", Type::gauge, "A \"quote\", a \\ and\na line.");
  out.sample({{"name", "a \"quote\", a \\ and\na line"}}, 1);
  EXPECT_EQ(out.take(),
            "# HELP a A \"quote\", a \\\\ and\\na line.\n# TYPE a gauge\n"
            "a{name=\"a \\\"quote\\\", a \\\\ and\\na line\"} 1\n");
}

TEST(Exposition, buckets_are_cumulative) {
  DurationHistogram durations;
  for (const Duration one : {Duration(50us), Duration(51us), Duration(1ms), Duration(5s), Duration(6s)}) {
    durations.observe(one);
  }
  Exposition out;
  out.family("rtt_seconds", Type::histogram, "");
  out.histogram({{"end", "remote"}}, durations);
  const std::string text = out.take();
  for (const char* line :
       {"rtt_seconds_bucket{end=\"remote\",le=\"5e-05\"} 1\n", "{end=\"remote\",le=\"0.0001\"} 2\n",
        "{end=\"remote\",le=\"0.0005\"} 2\n", "{end=\"remote\",le=\"0.001\"} 3\n", "le=\"2.5\"} 3\n",
        "le=\"5\"} 4\n", "le=\"+Inf\"} 5\n", "rtt_seconds_sum{end=\"remote\"} 11.001101\n",
        "rtt_seconds_count{end=\"remote\"} 5\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(std::ranges::count(text, '\n'), 2 + 17 + 2);
}

TEST(Exposition, histograms_add_up) {
  DurationHistogram one;
  DurationHistogram other;
  one.observe(1ms);
  other.observe(1ms);
  other.observe(10s);
  one.add(other);
  EXPECT_EQ(one.count(4), 2U);
  EXPECT_EQ(one.count(DurationHistogram::kBounds.size()), 1U);
  EXPECT_EQ(one.sum(), Duration(10'002ms));
}

TEST(MetricsText, what_is_counted_is_there) {
  MetricsReport report;
  report.version = "1.2.3";
  report.threads = 2;
  report.engine.tcp_bytes = {10, 20};
  report.engine.tcp_flows[static_cast<std::size_t>(tcp::State::established)] = 3;
  report.engine.tcp_flows[static_cast<std::size_t>(tcp::State::time_wait)] = 4;
  report.engine.drops[static_cast<std::size_t>(wire::DropReason::bad_checksum)] = 5;
  report.engine.dns.failures = 9;
  report.engine.dns.timeouts = 2;
  report.engine.pieces_in_use = 3;
  report.loopback = {.opened = 1,
                     .bytes_from_guest = 100,
                     .bytes_to_guest = 200,
                     .flows = 5,
                     .datagram_bytes_from_guest = 30,
                     .datagram_bytes_to_guest = 40,
                     .datagram_flows = 2,
                     .datagram_opened = 6};
  const std::string text = metrics_text(report, {std::chrono::milliseconds(1'700'000'000'250), 4096});
  for (const char* line :
       {"slirp_forwarder_build_info{version=\"1.2.3\"} 1\n", "process_start_time_seconds 1700000000.250\n",
        "slirp_forwarder_threads 2\n", "_payload_bytes_total{protocol=\"tcp\",direction=\"from_guest\"} 10\n",
        "_flows{protocol=\"tcp\",state=\"established\"} 3\n",
        "_flows{protocol=\"tcp\",state=\"time-wait\"} 4\n", "_drops_total{reason=\"bad-checksum\"} 5\n",
        "_dns_outcomes_total{outcome=\"failed\"} 7\n", "_dns_outcomes_total{outcome=\"timed-out\"} 2\n",
        "_payload_memory_bytes{state=\"used\"} 196608\n",
        "_loopback_payload_bytes_total{protocol=\"tcp\",direction=\"from_guest\"} 70\n",
        "_loopback_payload_bytes_total{protocol=\"udp\",direction=\"to_guest\"} 40\n",
        "_loopback_flows{protocol=\"tcp\"} 3\n", "_loopback_flows_opened_total{protocol=\"udp\"} 6\n",
        "process_resident_memory_bytes 4096\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(metrics_text(report, {}), Not(HasSubstr("resident")));
}

}  // namespace
}  // namespace sf::control
