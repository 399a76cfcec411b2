// What a process gives up with and without a root folder of its own: Landlock, capabilities, descriptors.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "setup/landlock.hh"
#include "setup/posix.hh"
#include "setup/sandbox.hh"
#include "unit/support/own_namespace.hh"

namespace sf::setup {
namespace {

using test::kSkipped;
using test::write_file;

const Log kLog(LogLevel::error, [](LogLevel, std::string_view) {});

void in_a_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(body());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "no Landlock here";
  EXPECT_EQ(status, 0);
}

class Landlock : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sf-landlock-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    base_ = name;
    std::filesystem::create_directories(base_ + "/kept");
    ASSERT_TRUE(write_file((base_ + "/kept/file").c_str(), "kept"));
    ASSERT_TRUE(write_file((base_ + "/file").c_str(), "other"));
  }
  void TearDown() override { std::filesystem::remove_all(base_); }

  static bool restrict(const std::vector<LandlockRule>& rules, bool signals = true) {
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && restrict_files(rules, signals, kLog);
  }
  static long abi() { return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1); }

  std::string base_;
};

TEST_F(Landlock, without_rules_no_file_is_left) {
  in_a_child([&] {
    CHILD_EXPECT(read_text(base_ + "/file") == "other");
    const UniqueFd open = open_fd(base_ + "/file", O_RDONLY);
    const UniqueFd folder = open_fd(base_, O_PATH | O_DIRECTORY);
    if (!restrict({})) return kSkipped;
    char byte = 0;
    CHILD_EXPECT(::read(open.get(), &byte, 1) == 1);
    CHILD_EXPECT(!open_fd(base_ + "/file", O_RDONLY) && errno == EACCES);
    CHILD_EXPECT(!open_fd(base_ + "/file", O_WRONLY) && errno == EACCES);
    CHILD_EXPECT(!open_fd(base_, O_RDONLY | O_DIRECTORY) && errno == EACCES);
    CHILD_EXPECT(::openat(folder.get(), "new", O_WRONLY | O_CREAT, 0600) < 0 && errno == EACCES);
    CHILD_EXPECT(::unlinkat(folder.get(), "file", 0) < 0 && errno == EACCES);
    CHILD_EXPECT(::mkdirat(folder.get(), "folder", 0700) < 0 && errno == EACCES);
    return 0;
  });
}

TEST_F(Landlock, rules_allow_what_they_say) {
  in_a_child([&] {
    const UniqueFd folder = open_fd(base_ + "/kept", O_PATH | O_DIRECTORY);
    if (!restrict({{base_ + "/kept", -1, LandlockRule::Right::read},
                   {"", folder.get(), LandlockRule::Right::remove_files},
                   {"/no/such/folder", -1, LandlockRule::Right::read}})) {
      return kSkipped;
    }
    CHILD_EXPECT(read_text(base_ + "/kept/file") == "kept");
    CHILD_EXPECT(!read_text(base_ + "/file"));
    CHILD_EXPECT(!open_fd(base_ + "/kept/file", O_WRONLY) && errno == EACCES);
    CHILD_EXPECT(::unlink((base_ + "/file").c_str()) < 0 && errno == EACCES);
    CHILD_EXPECT(::unlinkat(folder.get(), "file", 0) == 0);
    return 0;
  });
}

TEST_F(Landlock, reaches_neither_abstract_sockets_nor_other_processes) {
  if (abi() < 6) GTEST_SKIP() << "needs Linux 6.12";
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "sf-" + std::to_string(::getpid());
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  const auto reached = [&] {
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM, 0));
    return ::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
  };
  in_a_child([&] {
    CHILD_EXPECT(reached() && ::kill(::getppid(), 0) == 0);
    CHILD_EXPECT(restrict({}, true));
    CHILD_EXPECT(!reached() && errno == EPERM);
    CHILD_EXPECT(::kill(::getppid(), 0) == 0);
    return 0;
  });
  in_a_child([&] {
    CHILD_EXPECT(restrict({}, false));
    CHILD_EXPECT(::kill(::getppid(), 0) < 0 && errno == EPERM);
    return 0;
  });
}

TEST(Rights, capabilities_but_those_kept_are_gone) {
  in_a_child([] {
    CHILD_EXPECT(keep_capabilities({CAP_KILL}));
    const auto text = read_text("/proc/self/status").value_or("");
    CHILD_EXPECT(text.find("NoNewPrivs:\t1") != std::string::npos);
    const std::string left = ::geteuid() == 0 ? "0000000000000020" : "0000000000000000";
    for (const char* set : {"CapPrm:\t", "CapEff:\t", "CapInh:\t"}) {
      CHILD_EXPECT(text.find(set + left) != std::string::npos);
    }
    CHILD_EXPECT(text.find("CapAmb:\t0000000000000000") != std::string::npos);
    return 0;
  });
}

TEST(Rights, nobody_traces_and_nothing_is_forked) {
  in_a_child([] {
    limit_resources();
    become_opaque();
    CHILD_EXPECT(::prctl(PR_GET_DUMPABLE) == 0);
    rlimit limit{1, 1};
    CHILD_EXPECT(::getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
    CHILD_EXPECT(::getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max == 0);
    return 0;
  });
}

TEST(Rights, descriptors_are_closed_but_for_those_kept) {
  in_a_child([] {
    const int low = ::dup2(2, 100);
    const int kept = ::dup2(2, 101);
    const int high = ::dup2(2, 150);
    close_all_but({kept, -1, 1});
    CHILD_EXPECT(!is_open(low) && is_open(kept) && !is_open(high));
    CHILD_EXPECT(is_open(0) && is_open(1) && is_open(2));
    const int file = ::open("/etc/passwd", O_RDONLY);
    CHILD_EXPECT(::dup2(file, 0) == 0 && ::dup2(file, 1) == 1);
    let_go_of_streams({1});
    char byte = 0;
    CHILD_EXPECT(::read(0, &byte, 1) == 0 && ::read(1, &byte, 1) == 1);
    return 0;
  });
}

// A terminal is where passwords are typed.
TEST(Rights, a_terminal_is_only_written_to) {
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY));
  if (!master || ::unlockpt(master.get()) != 0) GTEST_SKIP() << "no terminals here";
  const UniqueFd terminal = open_fd(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_NONBLOCK);
  ASSERT_TRUE(terminal);
  in_a_child([&] {
    ::dup2(terminal.get(), 2);
    let_go_of_streams({});
    char byte = 0;
    const bool refused = ::read(2, &byte, 1) < 0 && errno == EBADF;
    const bool written = ::write(2, "x", 1) == 1;
    return refused && written ? 0 : 1;
  });
}

}  // namespace
}  // namespace sf::setup
