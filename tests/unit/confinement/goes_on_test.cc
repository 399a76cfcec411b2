// Where the kernel, or whoever started the program, forbids a part of confinement: the native commands say so
// in a line and go on; as slirp4netns, what was asked for has to be had.
#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "cli/confinement.hh"
#include "unit/support/own_namespace.hh"

namespace sf::cli {
namespace {

// As a container's profile does it.
bool forbid(int call) {
  const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  const bool done =
      ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0) == 0 && ::seccomp_load(filter) == 0;
  ::seccomp_release(filter);
  return done;
}

void in_a_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(body());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

Config slirp4netns() {
  Config config;
  config.slirp4netns = config.sandbox = config.seccomp = true;
  return config;
}

struct Said {
  std::vector<std::string> lines;
  Log log{LogLevel::warning, [this](LogLevel, std::string_view text) { lines.emplace_back(text); }};
};

TEST(GoesOn, without_a_root_folder) {
  in_a_child([] {
    Said said;
    CHILD_EXPECT(forbid(SCMP_SYS(unshare)));
    CHILD_EXPECT(!give_up_rights(slirp4netns(), said.log));
    CHILD_EXPECT(give_up_rights({}, said.log));
    CHILD_EXPECT(said.lines.size() == 1 && said.lines[0].starts_with("without a root folder of its own"));
    CHILD_EXPECT(filter_system_calls({}, said.log) && said.lines.size() == 1);
    return 0;
  });
}

TEST(GoesOn, without_a_filter) {
  in_a_child([] {
    Said said;
    CHILD_EXPECT(forbid(SCMP_SYS(seccomp)));
    CHILD_EXPECT(!filter_system_calls(slirp4netns(), said.log));
    CHILD_EXPECT(filter_system_calls({}, said.log));
    CHILD_EXPECT(said.lines.size() == 1 && said.lines[0].starts_with("without a system call filter"));
    return 0;
  });
}

TEST(GoesOn, with_all_rights_where_that_is_asked_for) {
  in_a_child([] {
    Said said;
    Config config;
    config.confined = false;
    CHILD_EXPECT(give_up_rights(config, said.log) && filter_system_calls(config, said.log));
    CHILD_EXPECT(said.lines.empty() && ::access("/usr", R_OK) == 0 && ::fork() >= 0);
    return 0;
  });
}

}  // namespace
}  // namespace sf::cli
