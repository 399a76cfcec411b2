#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "setup/namespaces.hh"
#include "setup/posix.hh"
#include "setup/reaper.hh"
#include "setup/signals.hh"

namespace sf::setup {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ExplainUserNamespace, the_cause_and_its_remedy_are_named) {
  const auto message = [](int error, UserNamespaceLimits limits) {
    return explain_user_namespace(error, limits).message;
  };
  EXPECT_THAT(message(ENOSPC, {.max_user_namespaces = 0, .unprivileged_clone = {}, .apparmor_restrict = {}}),
              HasSubstr("user.max_user_namespaces="));
  EXPECT_THAT(message(ENOSPC, {.max_user_namespaces = 5, .unprivileged_clone = 1, .apparmor_restrict = {}}),
              AllOf(HasSubstr("too many"), HasSubstr("user.max_user_namespaces")));
  EXPECT_THAT(message(EPERM, {.max_user_namespaces = 5, .unprivileged_clone = 0, .apparmor_restrict = {}}),
              HasSubstr("kernel.unprivileged_userns_clone=1"));
  EXPECT_THAT(message(EACCES, {.max_user_namespaces = 5, .unprivileged_clone = {}, .apparmor_restrict = 1}),
              HasSubstr("kernel.apparmor_restrict_unprivileged_userns=0"));
  EXPECT_THAT(message(EINVAL, {.max_user_namespaces = {}, .unprivileged_clone = {}, .apparmor_restrict = {}}),
              HasSubstr("CONFIG_USER_NS"));
  EXPECT_THAT(message(EPERM, {.max_user_namespaces = 5, .unprivileged_clone = 1, .apparmor_restrict = 0}),
              AllOf(HasSubstr("seccomp"), HasSubstr("EPERM"), Not(HasSubstr("AppArmor"))));
}

TEST(Reason, has_text_and_name) {
  EXPECT_EQ(reason(ENOENT), "No such file or directory (ENOENT)");
  EXPECT_THAT(reason(123456), HasSubstr("123456"));
}

TEST(ExitStatus, is_that_of_shells) {
  EXPECT_EQ(exit_status_of(7 << 8), 7);
  EXPECT_EQ(exit_status_of(9), 137);
  EXPECT_EQ(exit_status_of(15 | 0x80), 143) << "with a core dump";
}

TEST(Signals, a_terminals_interrupt_is_not_forwarded) {
  EXPECT_FALSE(is_forwarded({SIGINT, false}));
  EXPECT_TRUE(is_forwarded({SIGINT, true}));
  EXPECT_TRUE(is_forwarded({SIGHUP, false}));
}

TEST(OpenTarget, what_cannot_be_joined_is_explained) {
  const auto message = [](const std::string& target, const std::string& userns) {
    auto result = open_target(target, userns);
    return result ? "accepted" : result.error().message;
  };
  // Beyond the largest pid_max there is.
  EXPECT_THAT(message("99999999", ""), HasSubstr("no such process"));
  EXPECT_THAT(message("/nowhere/at/all", ""), HasSubstr("cannot open '/nowhere/at/all'"));
  EXPECT_THAT(message("/dev/null", ""), HasSubstr("not a network namespace"));
  EXPECT_THAT(message("/proc/self/ns/uts", ""), HasSubstr("not a network namespace"));
  EXPECT_THAT(message("/proc/self/ns/net", ""), HasSubstr("the host's"));
}

}  // namespace
}  // namespace sf::setup
