// FlowLog: the bound of its queues, what it says is missing, and its end.
#include "flowlog/flow_log.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "flowlog/seen_names.hh"
#include "wire/dns.hh"
#include "wire/dns_records.hh"

namespace sf::flowlog {
namespace {

using testing::HasSubstr;

class FlowLogTest : public testing::Test {
 protected:
  FlowLogTest() {
    std::signal(SIGPIPE, SIG_IGN);
    std::string name = testing::TempDir() + "flow-log-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/log";
  }
  ~FlowLogTest() override {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }

  void make(Output output, unsigned feeds, std::size_t most) {
    made_ = std::make_unique<FlowLog>(std::move(output), feeds, clocks_, SipKey{1, 2}, log_, most);
  }
  void make_file(unsigned feeds, std::size_t most) {
    auto output = Output::open(path_);
    ASSERT_TRUE(output) << output.error().message;
    make(*std::move(output), feeds, most);
  }
  void tell(unsigned feed, std::uint64_t id, Time at = Time(1s)) {
    FlowEvent event;
    event.id = id;
    event.at = at;
    made_->feed(feed).on_flow(event);
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }

  std::string folder_;
  std::string path_;
  FlowLog::Clocks clocks_{[] { return Time(std::chrono::steady_clock::now().time_since_epoch()); },
                          [] { return std::chrono::nanoseconds(0); }};
  std::string said_;
  Log log_{LogLevel::info, [this](LogLevel, std::string_view text) { said_ += text; }};
  std::unique_ptr<FlowLog> made_;
};

TEST_F(FlowLogTest, WhatHasNoPlaceIsCountedAndTold) {
  make_file(1, 3);
  for (std::uint64_t id = 1; id <= 5; ++id) tell(0, id);
  EXPECT_EQ(made_->statistics().dropped, 2U);
  ASSERT_TRUE(made_->start());
  made_.reset();
  const auto all = lines();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_THAT(all[2], HasSubstr("\"id\":3"));
  EXPECT_THAT(all[3], HasSubstr("\"event\":\"dropped\",\"count\":2"));
  EXPECT_THAT(said_, HasSubstr("2 records were lost"));
}

TEST_F(FlowLogTest, EachThreadHasItsPartOfTheRoomAndOneDoesNotTakeAnothers) {
  make_file(2, 4);
  for (std::uint64_t id = 1; id <= 10; ++id) tell(0, id);
  tell(1, 99);
  ASSERT_TRUE(made_->start());
  made_.reset();
  const auto all = lines();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_THAT(all[2], HasSubstr("\"id\":99"));
  EXPECT_THAT(all[3], HasSubstr("\"count\":8"));
}

TEST_F(FlowLogTest, InTheOrderOfTime) {
  make_file(2, 100);
  tell(0, 1, Time(1s));
  tell(0, 3, Time(3s));
  tell(1, 2, Time(2s));
  ASSERT_TRUE(made_->start());
  made_.reset();
  const auto all = lines();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_THAT(all[1], HasSubstr("\"id\":2"));
  EXPECT_EQ(said_, "");
}

TEST_F(FlowLogTest, ThousandsFromSeveralThreadsAreAllThere) {
  make_file(3, 100000);
  ASSERT_TRUE(made_->start());
  std::vector<std::thread> threads;
  for (unsigned feed = 0; feed < 3; ++feed) {
    threads.emplace_back([this, feed] {
      for (std::uint64_t id = 1; id <= 5000; ++id) tell(feed, id);
    });
  }
  for (std::thread& thread : threads) thread.join();
  // The end gives the writer kFinish, which may be too short for so many with a sanitizer on a busy machine.
  const auto patience = std::chrono::steady_clock::now() + 60s;
  while (made_->statistics().written < 15000 && std::chrono::steady_clock::now() < patience)
    std::this_thread::sleep_for(1ms);
  made_.reset();
  EXPECT_EQ(lines().size(), 15000U);
  EXPECT_EQ(said_, "");
}

TEST_F(FlowLogTest, AReaderThatTakesNothingDoesNotHoldUpTheEnd) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  auto output = Output::adopt(ends[1]);
  ASSERT_TRUE(output);
  make(*std::move(output), 1, 10000);
  ASSERT_TRUE(made_->start());
  for (std::uint64_t id = 1; id <= 5000; ++id) tell(0, id);
  const auto before = std::chrono::steady_clock::now();
  made_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
  EXPECT_THAT(said_, HasSubstr("records were lost"));
}

TEST_F(FlowLogTest, AReaderThatHasGoneEndsTheLog) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  ::close(ends[0]);
  auto output = Output::adopt(ends[1]);
  ASSERT_TRUE(output);
  make(*std::move(output), 1, 10);
  tell(0, 1);
  ASSERT_TRUE(made_->start());
  while (made_->statistics().dropped == 0) std::this_thread::yield();
  tell(0, 2);
  EXPECT_EQ(made_->statistics().dropped, 2U);
  EXPECT_EQ(made_->statistics().written, 0U);
  made_.reset();
  EXPECT_THAT(said_, HasSubstr("its reader has gone; the network goes on"));
}

// As one whose standard error is a pipe that nobody reads.
TEST_F(FlowLogTest, MessagesThatNobodyTakesHoldUpNeitherFlowsNorTheEnd) {
  struct Stuck {
    std::mutex mutex;
    std::condition_variable changed;
    bool said = false;
    bool released = false;
  };
  const auto stuck = std::make_shared<Stuck>();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  ::close(ends[0]);
  auto output = Output::adopt(ends[1]);
  ASSERT_TRUE(output);
  const Log nobody_reads(LogLevel::info, [stuck](LogLevel, std::string_view) {
    std::unique_lock lock(stuck->mutex);
    stuck->said = true;
    stuck->changed.notify_all();
    stuck->changed.wait(lock, [&] { return stuck->released; });
  });
  made_ = std::make_unique<FlowLog>(*std::move(output), 1, clocks_, SipKey{1, 2}, nobody_reads, 10);
  ASSERT_TRUE(made_->start());
  tell(0, 1);
  {
    std::unique_lock lock(stuck->mutex);
    stuck->changed.wait(lock, [&] { return stuck->said; });
  }
  std::thread rescue([stuck] {
    std::unique_lock lock(stuck->mutex);
    stuck->changed.wait_for(lock, 15s, [&] { return stuck->released; });
    stuck->released = true;
    stuck->changed.notify_all();
  });
  const auto before = std::chrono::steady_clock::now();
  for (std::uint64_t id = 2; id <= 1000; ++id) tell(0, id);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 1s);
  made_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - before, 8s);
  {
    const std::scoped_lock lock(stuck->mutex);
    stuck->released = true;
    stuck->changed.notify_all();
  }
  rescue.join();
}

TEST_F(FlowLogTest, NamesOfAnswersAreFoundAgain) {
  make_file(1, 10);
  // "a.test" is 192.0.2.1.
  const std::string answer(
      "\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
      "\x01"
      "A"
      "\x04"
      "test\x00\x00\x01\x00\x01"
      "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01",
      40);
  made_->feed(0).on_dns_answer(Bytes(reinterpret_cast<const std::uint8_t*>(answer.data()), answer.size()));
  const FlowNotes notes = made_->feed(0).begin(Address::v4(192, 0, 2, 1), Time(3s));
  EXPECT_EQ(notes.name, "a.test");
  EXPECT_EQ(notes.opened, Time(3s));
  EXPECT_EQ(made_->feed(0).begin(Address::v4(192, 0, 2, 2), Time(3s)).name, "");
  EXPECT_NE(made_->feed(0).begin(Address::v4(192, 0, 2, 2), Time(3s)).id, notes.id);
}

TEST_F(FlowLogTest, ALineThatARunBeforeHasNotEndedStaysAlone) {
  std::ofstream(path_) << "{\"time\":\"20";
  for (int run = 0; run < 2; ++run) {
    make_file(1, 10);
    tell(0, 1);
    ASSERT_TRUE(made_->start());
    made_.reset();
  }
  const auto all = lines();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0], "{\"time\":\"20");
  EXPECT_THAT(all[1], testing::StartsWith("{\"time\":\"19"));
  EXPECT_THAT(all[2], testing::StartsWith("{\"time\":\"19"));
}

TEST_F(FlowLogTest, NumbersAreNotRepeatedByTheNextRun) {
  std::set<std::uint64_t> ids;
  for (std::uint64_t run = 0; run < 4; ++run) {
    auto output = Output::open(path_);
    ASSERT_TRUE(output);
    made_ = std::make_unique<FlowLog>(*std::move(output), 3, clocks_, SipKey{run, 7}, log_, 10);
    for (unsigned feed = 0; feed < 3; ++feed) {
      for (int i = 0; i < 100; ++i)
        ids.insert(made_->feed(feed).begin(Address::v4(192, 0, 2, 1), Time(3s)).id);
    }
  }
  EXPECT_EQ(ids.size(), 1200U);
  EXPECT_GT(*ids.begin(), 0U);
  EXPECT_LE(*ids.rbegin(), std::uint64_t{1} << 53) << "which JSON readers may round";
}

// An answer for `name` with one address.
std::vector<std::uint8_t> answer_for(const std::string& name, const Address& address) {
  std::vector<std::uint8_t> bytes(512);
  Writer out(bytes);
  wire::DnsHeader header;
  header.response = true;
  header.questions = header.answers = 1;
  header.emit(out);
  wire::DnsQuestion{name, wire::dns_type::kA, 1}.emit(out);
  wire::write_dns_name(out, name);
  out.u16(wire::dns_type::kA);
  out.u16(1);
  out.u32(60);
  out.u16(4);
  out.bytes(address.wire_bytes());
  bytes.resize(out.written().size());
  return bytes;
}

TEST(SeenNames, TheLatestNameCounts) {
  SeenNames names(SipKey{1, 2});
  names.learn(answer_for("a.test", Address::v4(1)));
  names.learn(answer_for("b.test", Address::v4(1)));
  EXPECT_EQ(names.find(Address::v4(1)), "b.test");
}

TEST(SeenNames, OneThatWasToldOfAgainStays) {
  SeenNames names(SipKey{1, 2});
  for (std::uint32_t i = 0; i < SeenNames::kMaxAddresses; ++i)
    names.learn(answer_for("a.test", Address::v4(i + 1)));
  names.learn(answer_for("b.test", Address::v4(1)));
  names.learn(answer_for("c.test", Address::v4(SeenNames::kMaxAddresses + 1)));
  EXPECT_EQ(names.find(Address::v4(1)), "b.test");
  EXPECT_EQ(names.find(Address::v4(2)), "");
}

TEST(SeenNames, AreBounded) {
  SeenNames names(SipKey{1, 2});
  for (std::uint32_t i = 0; i < SeenNames::kMaxAddresses + 1000; ++i)
    names.learn(answer_for("a.test", Address::v4(i + 1)));
  EXPECT_EQ(names.size(), SeenNames::kMaxAddresses);
  EXPECT_EQ(names.find(Address::v4(1)), "") << "the first ones make room";
  EXPECT_EQ(names.find(Address::v4(1000)), "");
  std::size_t found = 0;
  for (std::uint32_t i = 1001; i <= SeenNames::kMaxAddresses + 1000; ++i)
    found += names.find(Address::v4(i)).empty() ? 0U : 1U;
  EXPECT_EQ(found, SeenNames::kMaxAddresses);
  EXPECT_EQ(names.find(Address::v4(SeenNames::kMaxAddresses + 1000)), "a.test");
}

TEST_F(FlowLogTest, OutputsThatCannotBe) {
  const auto error = [](const Result<Output>& output) {
    return output ? std::string() : output.error().message;
  };
  EXPECT_THAT(error(Output::open("/nowhere/x")),
              HasSubstr("opening the flow log /nowhere/x failed: No such file"));
  EXPECT_THAT(error(Output::adopt(999)), HasSubstr("--flow-log 999: is not open for writing"));
  const UniqueFd reading(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(error(Output::adopt(reading.get())), HasSubstr("is not open for writing"));
  ASSERT_EQ(::symlink("/dev/null", path_.c_str()), 0);
  EXPECT_THAT(error(Output::open(path_)), HasSubstr("it is a symbolic link"));
}

TEST_F(FlowLogTest, APipeGetsWholeLines) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  auto output = Output::adopt(ends[1]);
  ASSERT_TRUE(output);
  std::string text;
  for (int i = 0; i < 100; ++i) text += std::string(99, 'x') + "\n";
  const auto written =
      output->write(Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()), 0);
  EXPECT_EQ(written.outcome, Output::Outcome::wrote);
  EXPECT_EQ(written.bytes, 4000U);
}

}  // namespace
}  // namespace sf::flowlog
