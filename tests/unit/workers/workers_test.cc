// Workers: several shards with a thread each, and how they end.
#include "cli/workers.hh"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/unique_fd.hh"
#include "unit/link/fake_link.hh"

namespace sf::cli {
namespace {

// A device that is gone from the beginning of run() on.
struct GoneLink final : link::FakeLink {
  GoneLink() { gone = true; }
};

class WorkersTest : public testing::Test {
 protected:
  void make(unsigned count) {
    std::vector<Workers::Device> devices;
    for (unsigned i = 0; i < count; ++i) {
      // Not readable until somebody writes to it.
      ready_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      devices.push_back({std::make_unique<GoneLink>(), ready_.back().get()});
    }
    auto made = Workers::create(std::move(devices), {}, log_);
    ASSERT_TRUE(made) << made.error().message;
    workers_ = *std::move(made);
    ASSERT_TRUE(workers_->start());
  }
  void links_go() {
    for (const UniqueFd& fd : ready_) ::eventfd_write(fd.get(), 1);
  }
  static bool shards_run() {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
      if (name == "shard") return true;
    }
    return false;
  }

  const Log log_{LogLevel::error, [](LogLevel, std::string_view) {}};
  std::vector<UniqueFd> ready_;
  std::unique_ptr<Workers> workers_;
};

TEST_F(WorkersTest, ALinkThatIsGoneEndsAll) {
  make(2);
  links_go();
  const auto ended = workers_->run();
  ASSERT_TRUE(ended);
  EXPECT_TRUE(ended->link_gone);
}

TEST_F(WorkersTest, WhoStopsTheLoopSaysTheStatus) {
  make(2);
  workers_->loop().stop(3);
  const auto ended = workers_->run();
  ASSERT_TRUE(ended);
  EXPECT_FALSE(ended->link_gone);
  EXPECT_EQ(ended->exit_code, 3);
}

// The command inside has removed the device, and ended: the main loop may hear of both in the same turn.
TEST_F(WorkersTest, AStatusIsNotLostToALinkThatGoesInTheSameTurn) {
  make(2);
  host::EventLoop& loop = workers_->loop();
  const UniqueFd begin(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  const UniqueFd command(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(loop.watch(begin.get(), [&] {
    loop.unwatch(begin.get());
    links_go();
    while (shards_run()) std::this_thread::yield();  // they have told the main loop by now
    ::eventfd_write(command.get(), 1);
  }));
  ASSERT_TRUE(loop.watch(command.get(), [&] { loop.stop(3); }));
  const auto ended = workers_->run();
  ASSERT_TRUE(ended);
  EXPECT_FALSE(ended->link_gone);
  EXPECT_EQ(ended->exit_code, 3);
}

}  // namespace
}  // namespace sf::cli
