#include "host/event_loop.hh"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

namespace sf::host {
namespace {

using testing::ElementsAre;

// Notes what happens, one word each, and when.
class NotingReactor final : public Reactor {
 public:
  void on_link_readable(Time now) override { note("link", now); }
  void on_socket_event(Token token, Readiness readiness, Time now) override {
    note("socket" + std::to_string(token), now);
    last = readiness;
  }
  Time end_turn(Time now) override {
    note("end", now);
    return after_turn ? after_turn(now) : kNever;
  }
  bool alive() const override { return is_alive; }

  void note(std::string what, Time now) {
    log.push_back(std::move(what));
    times.push_back(now);
  }

  std::vector<std::string> log;
  std::vector<Time> times;
  Readiness last;
  std::function<Time(Time)> after_turn;
  bool is_alive = true;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK), 0);
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
  void put() const { EXPECT_EQ(::write(write.get(), "x", 1), 1); }
  void get() const {
    char c = 0;
    EXPECT_EQ(::read(read.get(), &c, 1), 1);
  }
  UniqueFd read;
  UniqueFd write;
};

class EventLoopTest : public testing::Test {
 protected:
  EventLoop::Ended run(int link_fd = -1) {
    const auto ended = loop_->run(reactor_, link_fd);
    EXPECT_TRUE(ended) << (ended ? "" : ended.error().message);
    return ended.value_or(EventLoop::Ended{});
  }

  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  NotingReactor reactor_;
};

TEST_F(EventLoopTest, TakesAFirstTurnUnasked) {
  reactor_.is_alive = false;
  EXPECT_TRUE(run().link_gone);
  EXPECT_THAT(reactor_.log, ElementsAre("end"));
}

TEST_F(EventLoopTest, StopsAfterTheTurnWithItsCode) {
  std::vector<std::string> hooks;
  loop_->at_turn_end([&] { hooks.push_back("hook after " + reactor_.log.back()); });
  reactor_.after_turn = [&](Time) {
    loop_->stop(7);
    loop_->stop(8);  // the first word counts
    return kNever;
  };
  const auto ended = run();
  EXPECT_FALSE(ended.link_gone);
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_THAT(hooks, ElementsAre("hook after end"));
}

TEST_F(EventLoopTest, TimeStandsStillWithinATurn) {
  Pipe first;
  Pipe second;
  first.put();
  second.put();
  int calls = 0;
  for (const Pipe* pipe : {&first, &second}) {
    ASSERT_TRUE(loop_->watch(pipe->read.get(), [&, pipe] {
      pipe->get();
      reactor_.note("watch", loop_->now());
      std::this_thread::sleep_for(20ms);
      if (++calls == 2) loop_->stop(0);
    }));
  }
  run();
  ASSERT_THAT(reactor_.log, ElementsAre("watch", "watch", "end"));
  EXPECT_EQ(reactor_.times[0], reactor_.times[1]);
  EXPECT_EQ(reactor_.times[0], reactor_.times[2]);
}

TEST_F(EventLoopTest, WakesAtTheDeadlineAndNotBefore) {
  for (const Duration wait : {Duration(300us), Duration(30ms)}) {
    reactor_.times.clear();
    Time deadline = kNever;
    reactor_.is_alive = true;
    reactor_.after_turn = [&](Time now) {
      if (deadline != kNever) reactor_.is_alive = false;
      deadline = deadline == kNever ? now + wait : deadline;
      return deadline;
    };
    run();
    ASSERT_EQ(reactor_.times.size(), 2U);
    EXPECT_GE(reactor_.times[1], deadline);
    EXPECT_LT(reactor_.times[1], deadline + 2s);
  }
}

TEST_F(EventLoopTest, ComesBackAtOnceWhereWorkIsLeft) {
  int turns = 0;
  reactor_.after_turn = [&](Time now) {
    if (++turns == 1000) reactor_.is_alive = false;
    return turns % 2 == 0 ? now : now - 1h;
  };
  const auto start = loop_->now();
  run();
  EXPECT_EQ(turns, 1000);
  EXPECT_LT(loop_->now() - start, 2s);
}

TEST_F(EventLoopTest, SleepsWhileThereIsNothingToDo) {
  const UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  const itimerspec in_100ms{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 100'000'000}};
  ASSERT_EQ(::timerfd_settime(timer.get(), 0, &in_100ms, nullptr), 0);
  ASSERT_TRUE(loop_->watch(timer.get(), [&] { loop_->stop(0); }));
  run();
  EXPECT_THAT(reactor_.log, ElementsAre("end", "end"));
}

TEST_F(EventLoopTest, WatchesUntilUnwatched) {
  const Pipe pipe;
  pipe.put();
  int calls = 0;
  ASSERT_TRUE(loop_->watch(pipe.read.get(), [&] {
    // Never read: a watch is level-triggered.
    if (++calls == 3) loop_->unwatch(pipe.read.get());
  }));
  int turns = 0;
  reactor_.after_turn = [&](Time now) {
    if (++turns == 10) loop_->stop(0);
    return now;
  };
  run();
  EXPECT_EQ(calls, 3);
  loop_->unwatch(pipe.read.get());  // does nothing
  EXPECT_TRUE(loop_->watch(pipe.read.get(), [] {}));
}

TEST_F(EventLoopTest, CallsNoWatchThatAnotherHasEnded) {
  const Pipe first;
  const Pipe second;
  first.put();
  second.put();
  int calls = 0;
  const auto end_both = [&] {
    ++calls;
    loop_->unwatch(first.read.get());
    loop_->unwatch(second.read.get());
  };
  ASSERT_TRUE(loop_->watch(first.read.get(), end_both));
  ASSERT_TRUE(loop_->watch(second.read.get(), end_both));
  reactor_.is_alive = false;
  run();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, RefusesToWatchWhatIsNoDescriptor) {
  const auto result = loop_->watch(-1, [] {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "cannot watch file descriptor -1: epoll_ctl: Bad file descriptor");
  const auto ended = loop_->run(reactor_, 1'000'000);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().message, "cannot watch the network device: epoll_ctl: Bad file descriptor");
}

TEST_F(EventLoopTest, TellsOfTheLinkOncePerEdge) {
  const Pipe link;
  link.put();
  int turns = 0;
  reactor_.after_turn = [&](Time now) {
    if (++turns == 5) link.put();
    if (turns == 10) reactor_.is_alive = false;
    return now;
  };
  EXPECT_TRUE(run(link.read.get()).link_gone);
  EXPECT_EQ(std::ranges::count(reactor_.log, "link"), 2);
  EXPECT_EQ(reactor_.log[0], "link");
}

TEST_F(EventLoopTest, TellsOfTheLinksEnd) {
  Pipe link;
  reactor_.after_turn = [&](Time) {
    if (reactor_.log.size() == 1) link.write.reset();
    if (reactor_.log.size() > 1) reactor_.is_alive = false;
    return kNever;
  };
  EXPECT_TRUE(run(link.read.get()).link_gone);
  EXPECT_THAT(reactor_.log, ElementsAre("end", "link", "end"));
}

TEST_F(EventLoopTest, TheSideReactorHasItsOwnSocketsAndDeadline) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()), 0);
  const UniqueFd near(fds[0]);
  const UniqueFd far(fds[1]);
  constexpr Token kToken = EventLoop::kSideToken | 7;
  NotingReactor side;
  loop_->set_side(&side);
  ASSERT_EQ(loop_->add_socket(near.get(), kToken), 0);
  side.after_turn = [&](Time now) {
    if (side.log.size() >= 3) loop_->stop(0);
    return now + 1ms;  // the other one has no deadline
  };
  run();
  EXPECT_THAT(side.log, ElementsAre("socket" + std::to_string(kToken), "end", "end"));
  EXPECT_THAT(reactor_.log, ElementsAre("end", "end"));
  loop_->set_side(nullptr);
}

TEST_F(EventLoopTest, TellsOfSocketsByTheirTokens) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()), 0);
  const UniqueFd near(fds[0]);
  UniqueFd far(fds[1]);
  constexpr Token kToken = EventLoop::kSideToken - 1;
  ASSERT_EQ(loop_->add_socket(near.get(), kToken), 0);
  std::vector<Readiness> seen;
  reactor_.after_turn = [&](Time) {
    seen.push_back(reactor_.last);
    if (seen.size() == 1) {
      EXPECT_EQ(::write(far.get(), "x", 1), 1);
    } else if (seen.size() == 2) {
      ::shutdown(far.get(), SHUT_WR);
    } else if (seen.size() == 3) {
      far.reset();
    } else {
      loop_->stop(0);
    }
    return kNever;
  };
  run();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_EQ(reactor_.log[0], "socket" + std::to_string(kToken));
  EXPECT_TRUE(seen[0].writable && !seen[0].readable && !seen[0].read_closed && !seen[0].hang_up);
  EXPECT_TRUE(seen[1].readable && !seen[1].read_closed);
  EXPECT_TRUE(seen[2].read_closed && !seen[2].hang_up);
  EXPECT_TRUE(seen[3].hang_up);
  EXPECT_NE(loop_->add_socket(-1, 1), 0);
}

// Makes epoll_pwait2 fail as in a kernel before 5.11, or in a container whose filter does not know it.
bool forbid_pwait2(std::uint32_t error) {
  std::array<sock_filter, 4> program{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},  // seccomp_data.nr
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_epoll_pwait2},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(EventLoopTest, WorksWithoutPreciseTimeouts) {
  for (const std::uint32_t error : {std::uint32_t{ENOSYS}, std::uint32_t{EPERM}}) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (!forbid_pwait2(error)) ::_exit(77);
      Time deadline = kNever;
      reactor_.after_turn = [&](Time now) {
        if (deadline != kNever) loop_->stop(0);
        deadline = deadline == kNever ? now + 1500us : deadline;
        return deadline;
      };
      const bool ended = loop_->run(reactor_, -1).has_value();
      ::_exit(ended && reactor_.times.size() == 2 && reactor_.times[1] >= deadline ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no seccomp here";
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
}

}  // namespace
}  // namespace sf::host
