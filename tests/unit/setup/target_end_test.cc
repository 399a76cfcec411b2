#include "setup/target_end.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace sf::setup {
namespace {

TargetEnd watched(const std::string& target) {
  auto end = TargetEnd::watch(target);
  EXPECT_TRUE(end.has_value()) << (end ? "" : end.error().message);
  return end ? *std::move(end) : TargetEnd();
}

bool readable(const TargetEnd& end, int timeout_ms = 0) {
  pollfd state{end.fd(), POLLIN, 0};
  return ::poll(&state, 1, timeout_ms) == 1;
}

class Process {
 public:
  Process() : pid_(::fork()) {
    if (pid_ == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  ~Process() { end(); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  [[nodiscard]] std::string pid() const { return std::to_string(pid_); }

 private:
  pid_t pid_;
};

TEST(TargetEnd, of_a_process) {
  for (const char* form : {"{}", "/proc/{}/ns/net", "/proc/{}/task/{}/ns/net"}) {
    Process process;
    std::string target = form;
    for (std::size_t at = 0; (at = target.find("{}")) != std::string::npos;)
      target.replace(at, 2, process.pid());
    TargetEnd end = watched(target);
    EXPECT_FALSE(readable(end));
    process.end();
    EXPECT_TRUE(readable(end, 5000)) << target;
    EXPECT_TRUE(end.has_ended());
  }
}

TEST(TargetEnd, of_a_process_that_is_not_there) {
  Process process;
  const std::string pid = process.pid();
  process.end();
  const auto end = TargetEnd::watch(pid);
  ASSERT_FALSE(end.has_value());
  EXPECT_THAT(end.error().message, testing::HasSubstr(pid));
}

class TargetEndOfFile : public ::testing::Test {
 protected:
  TargetEndOfFile() {
    std::string pattern = ::testing::TempDir() + "target_endXXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream(folder_ + "/ns") << "";
    std::ofstream(folder_ + "/other") << "";
  }
  ~TargetEndOfFile() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(TargetEndOfFile, removed) {
  TargetEnd end = watched(folder_ + "/ns");
  std::filesystem::remove(folder_ + "/other");
  std::ofstream(folder_ + "/new") << "";
  EXPECT_FALSE(end.has_ended());
  std::filesystem::remove(folder_ + "/ns");
  EXPECT_TRUE(readable(end));
  EXPECT_TRUE(end.has_ended());
}

TEST_F(TargetEndOfFile, moved) {
  TargetEnd end = watched(folder_ + "/ns");
  std::filesystem::rename(folder_ + "/ns", folder_ + "/moved");
  EXPECT_TRUE(end.has_ended());
}

TEST_F(TargetEndOfFile, with_its_folder) {
  TargetEnd end = watched(folder_ + "/ns");
  std::filesystem::remove_all(folder_);
  EXPECT_TRUE(end.has_ended());
}

TEST_F(TargetEndOfFile, through_a_link) {
  std::filesystem::create_symlink(folder_ + "/ns", folder_ + "/link");
  TargetEnd end = watched(folder_ + "/link");
  std::filesystem::remove(folder_ + "/link");
  EXPECT_FALSE(end.has_ended());
  std::filesystem::remove(folder_ + "/ns");
  EXPECT_TRUE(end.has_ended());
}

TEST_F(TargetEndOfFile, that_is_not_there) {
  EXPECT_FALSE(TargetEnd::watch(folder_ + "/no/such").has_value());
}

}  // namespace
}  // namespace sf::setup
