// Runs the body of a test in a child process with a network namespace of its own, so that it may create
// devices and addresses, and nothing of it reaches the machine. The test is skipped where namespaces are not
// to be had.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

namespace sf::test {

inline constexpr int kSkipped = 77;

// In the body, in place of EXPECT: whose failures would be lost with the child.
#define CHILD_EXPECT(condition)                                                                 \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      std::fprintf(stderr, "%s:%d: %s (errno %d, %s)\n", __FILE__, __LINE__, #condition, errno, \
                   std::strerror(errno));                                                       \
      return 1;                                                                                 \
    }                                                                                           \
  } while (false)

// Runs `command` in a shell; true where it succeeded.
inline bool shell(const std::string& command) {
  return std::system(command.c_str()) == 0;
}

// Even an address without duplicate address detection is tentative until the kernel's worker has had its
// turn, and what is sent from or to it meanwhile is lost. True once none is, within five seconds.
inline bool addresses_usable() {
  return shell(
      "for i in $(seq 500); do [ -z \"$(ip -6 addr show tentative)\" ] && exit 0; sleep 0.01; done; exit 1");
}

inline bool write_file(const char* path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

inline bool enter_own_namespace() {
  if (::unshare(CLONE_NEWNET) == 0) return true;
  const std::string uid = std::to_string(::getuid());
  const std::string gid = std::to_string(::getgid());
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/uid_map", "0 " + uid + " 1") &&
         write_file("/proc/self/gid_map", "0 " + gid + " 1");
}

// `body` returns 0, 1 as CHILD_EXPECT does, or kSkipped. The loopback device is up when it begins.
inline void in_own_namespace(const std::function<int()>& body) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::_exit(enter_own_namespace() && shell("ip link set lo up") ? body() : kSkipped);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "what this test needs is not to be had here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace sf::test
