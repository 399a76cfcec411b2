// Which instance and which ports are meant, and how busy flows are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/flow_rates.hh"
#include "cli/port_names.hh"

namespace sf::cli {
namespace {

using control::FoundInstance;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

template <typename Value>
std::string refusal(const Result<Value>& result) {
  const std::string message = result ? "it was found" : result.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

std::vector<FoundInstance> running(const std::vector<std::string>& pids) {
  std::vector<FoundInstance> instances;
  for (const std::string& pid : pids) instances.push_back({pid, "/run/" + pid + ".sock"});
  return instances;
}

TEST(ChooseInstance, by_pid_and_by_its_beginning) {
  const auto all = running({"12", "123", "1300", "45"});
  for (const auto& [name, pid] : {std::pair("12", "12"), std::pair("123", "123"), std::pair("13", "1300"),
                                  std::pair("4", "45"), std::pair("1300", "1300")}) {
    const auto chosen = choose_instance(all, name);
    ASSERT_TRUE(chosen.has_value()) << chosen.error().message;
    EXPECT_EQ(chosen->pid, pid);
    EXPECT_EQ(chosen->path, std::string("/run/") + pid + ".sock");
  }
  EXPECT_THAT(refusal(choose_instance(all, "1")), HasSubstr("3 instances begin with 1: 12, 123, 1300;"));
  EXPECT_THAT(refusal(choose_instance(all, "7")), HasSubstr("no instance has the pid 7"));
  EXPECT_THAT(refusal(choose_instance(all, "")), HasSubstr("'': is neither"));
  EXPECT_THAT(refusal(choose_instance(all, "x\n")), HasSubstr("'x\\x0a': is neither"));
}

TEST(ChooseInstance, by_path) {
  EXPECT_EQ(choose_instance({}, "./api")->path, "./api");
  EXPECT_EQ(choose_instance(running({"12"}), "/12")->path, "/12");
}

TEST(ChooseInstance, the_only_one) {
  EXPECT_EQ(choose_instance(running({"12"}), std::nullopt)->pid, "12");
  EXPECT_THAT(refusal(choose_instance({}, std::nullopt)), HasSubstr("no instance is running"));
  EXPECT_THAT(refusal(choose_instance(running({"1", "2", "3", "4", "5", "6", "7"}), std::nullopt)),
              HasSubstr("7 instances are running: 1, 2, 3, 4, 5 and 2 more; say which"));
}

PortReply port(std::uint64_t id, const std::string& proto, const std::string& address, std::uint16_t host,
               std::uint16_t guest) {
  PortReply made;
  made.id = id;
  made.proto = proto;
  made.host_addr = address;
  made.host_port = host;
  made.guest_port = guest;
  return made;
}

class FindPorts : public ::testing::Test {
 protected:
  std::vector<std::uint64_t> ids(const std::vector<std::string>& words) const {
    const auto found = find_ports(published, words);
    if (!found) ADD_FAILURE() << found.error().message;
    std::vector<std::uint64_t> all;
    for (const PortReply& one : found.value_or(std::vector<PortReply>{})) all.push_back(one.id);
    return all;
  }
  std::string wrong(const std::vector<std::string>& words) const {
    return refusal(find_ports(published, words));
  }

  std::vector<PortReply> published{
      port(1, "tcp", "", 8080, 80),    port(2, "udp", "", 8080, 81),   port(3, "tcp", "127.0.0.1", 9090, 90),
      port(4, "tcp", "::1", 9090, 91), port(5, "tcp", "", 8000, 8000), port(6, "tcp", "", 8001, 8001),
      port(7, "tcp", "", 3, 33)};
};

TEST_F(FindPorts, by_id) {
  EXPECT_THAT(ids({"1"}), ElementsAre(1));
  EXPECT_THAT(ids({"6", "2", "6"}), ElementsAre(6, 2));
  EXPECT_THAT(ids({"0001"}), ElementsAre(1));
}

TEST_F(FindPorts, by_rule_with_and_without_the_guests_port) {
  EXPECT_THAT(ids({"8080:80"}), ElementsAre(1));
  EXPECT_THAT(ids({"8080"}), ElementsAre(1));
  EXPECT_THAT(ids({"udp/8080"}), ElementsAre(2));
  EXPECT_THAT(ids({"127.0.0.1:9090", "[::1]:9090:91"}), ElementsAre(3, 4));
  EXPECT_THAT(ids({"8000-8001", "8000"}), ElementsAre(5, 6));
}

TEST_F(FindPorts, all_or_none) {
  EXPECT_THAT(wrong({"1", "8080:81"}), AllOf(HasSubstr("8080:81 is not published, but tcp/8080:80 is"),
                                             HasSubstr("nothing was removed")));
  EXPECT_THAT(wrong({"udp/8080:80"}), HasSubstr("but udp/8080:81 is"));
  EXPECT_THAT(wrong({"8000-8002"}), HasSubstr("tcp/8002:8002 is not published"));
  EXPECT_THAT(wrong({"9090"}), HasSubstr("but tcp/127.0.0.1:9090:90 is"));
  EXPECT_THAT(wrong({"99"}), HasSubstr("99 is not published; nothing was removed"));
  EXPECT_THAT(wrong({"x"}), HasSubstr("'x' is not a port"));
  EXPECT_THAT(wrong({""}), HasSubstr("the form is"));
  EXPECT_THAT(wrong({"99999999999999999999999"}), HasSubstr("is not a port"));
}

TEST_F(FindPorts, a_number_that_is_both) {
  EXPECT_THAT(wrong({"3"}),
              HasSubstr("3 is the id of tcp/127.0.0.1:9090:90 as well as the port of tcp/3:33"));
  EXPECT_THAT(ids({"tcp/3"}), ElementsAre(7));
  published[2].id = 30;
  published[6].id = 3;
  EXPECT_THAT(ids({"3"}), ElementsAre(3));
}

FlowReply flow(std::uint16_t guest_port, std::uint64_t from_guest, std::uint64_t to_guest) {
  FlowReply made;
  made.protocol = "tcp";
  made.guest_addr = "10.0.2.100";
  made.guest_port = guest_port;
  made.bytes_from_guest = from_guest;
  made.bytes_to_guest = to_guest;
  return made;
}

using Rates = std::pair<std::optional<std::uint64_t>, std::optional<std::uint64_t>>;

Rates rates_of(const FlowRows& flows, std::uint16_t guest_port) {
  for (const FlowRow& row : flows.rows) {
    if (row.flow.guest_port == guest_port) return {row.rate_from_guest, row.rate_to_guest};
  }
  ADD_FAILURE() << "no flow " << guest_port;
  return {};
}

TEST(FlowRates, are_per_second_of_the_instances_own_time) {
  const FlowsReply before{1'000'000, 2, {flow(1, 100, 1000), flow(2, 5, 5)}};
  const FlowsReply after{1'500'000, 3, {flow(1, 300, 1500), flow(2, 5, 5), flow(3, 7, 9)}};
  const FlowRows flows = with_rates(before, after);
  EXPECT_EQ(flows.interval_us, 500'000U);
  EXPECT_EQ(flows.total, 3U);
  EXPECT_EQ(rates_of(flows, 1), Rates(400, 1000));
  EXPECT_EQ(rates_of(flows, 2), Rates(0, 0));
  EXPECT_EQ(rates_of(flows, 3), Rates(14, 18));  // has begun since
}

TEST(FlowRates, another_flow_with_the_same_ends) {
  const FlowRows flows = with_rates({0, 1, {flow(1, 1000, 0)}}, {1'000'000, 1, {flow(1, 10, 20)}});
  EXPECT_EQ(rates_of(flows, 1), Rates(10, 20));
}

TEST(FlowRates, unknown_where_the_first_list_was_cut) {
  const FlowRows flows = with_rates({0, 2, {flow(1, 0, 0)}}, {1'000'000, 2, {flow(1, 1, 1), flow(2, 9, 9)}});
  EXPECT_EQ(rates_of(flows, 1), Rates(1, 1));
  EXPECT_EQ(rates_of(flows, 2), Rates(std::nullopt, std::nullopt));
}

TEST(FlowRates, unknown_where_time_stands_still) {
  for (const std::uint64_t later : {0U, 5U}) {
    const FlowRows flows = with_rates({5, 1, {flow(1, 0, 0)}}, {later, 1, {flow(1, 1, 1)}});
    EXPECT_EQ(rates_of(flows, 1), Rates(std::nullopt, std::nullopt));
  }
}

TEST(FlowRates, numbers_that_no_flow_has) {
  const std::uint64_t most = 18446744073709551615U;
  const FlowRows flows = with_rates({0, 1, {flow(1, 0, 0)}}, {1, 1, {flow(1, most, most)}});
  EXPECT_EQ(rates_of(flows, 1), Rates(1'000'000'000'000'000'000U, 1'000'000'000'000'000'000U));
}

TEST(FlowRates, the_busiest_first_and_a_limit) {
  const FlowsReply before{0, 4, {flow(1, 1000, 0), flow(2, 0, 0), flow(3, 2000, 0), flow(4, 0, 0)}};
  const FlowsReply after{1'000'000, 4, {flow(1, 1000, 0), flow(2, 5, 0), flow(3, 2000, 0), flow(4, 0, 6)}};
  const auto order = [&](std::optional<std::size_t> limit) {
    std::vector<int> ports;
    for (const FlowRow& row : with_rates(before, after, limit).rows) ports.push_back(row.flow.guest_port);
    return ports;
  };
  EXPECT_THAT(order({}), ElementsAre(4, 2, 3, 1));
  EXPECT_THAT(order(2), ElementsAre(4, 2));
  EXPECT_EQ(with_rates(before, after, 2).total, 4U);
}

}  // namespace
}  // namespace sf::cli
