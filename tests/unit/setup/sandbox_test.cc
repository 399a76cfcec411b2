// What the sandbox leaves, as root and as an unprivileged user, each in a process of its own.
#include "setup/sandbox.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "setup/posix.hh"
#include "unit/support/own_namespace.hh"

namespace sf::setup {
namespace {

namespace fs = std::filesystem;
using test::kSkipped;
using test::write_file;

constexpr uid_t kUser = 65534;

// Folders to try with: `kept` is to stay visible, `other` not.
class Sandbox : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sf-sandbox-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    base_ = name;
    fs::create_directories(base_ + "/kept/below");
    fs::create_directories(base_ + "/other");
    fs::create_directories(base_ + "/socket");
    ASSERT_TRUE(write_file((base_ + "/kept/below/file").c_str(), "kept"));
    ASSERT_TRUE(write_file((base_ + "/other/secret").c_str(), "secret"));
    ASSERT_TRUE(write_file((base_ + "/socket/file").c_str(), "socket"));
    for (const auto& entry : fs::recursive_directory_iterator(base_)) fs::permissions(entry, fs::perms(0777));
    fs::permissions(base_, fs::perms(0777));
    settings_ = {{base_ + "/kept"}, ""};
  }
  void TearDown() override { fs::remove_all(base_); }

  // `before` is done in a mount namespace of its own by root; `inside` in the sandbox. Both return 0, or 1 as
  // CHILD_EXPECT does.
  void check(
      const std::function<int()>& inside, const std::function<int()>& before = [] { return 0; }) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(live(inside, before));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    if (WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "what this test needs is not to be had here";
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }

  std::string base_;
  SandboxSettings settings_;
  Log log_{LogLevel::debug, [](LogLevel, std::string_view text) {
             std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
           }};

 private:
  int live(const std::function<int()>& inside, const std::function<int()>& before) {
    const bool root = ::geteuid() == 0;
    if (GetParam() && !root) return kSkipped;
    if (root &&
        (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)) {
      return kSkipped;
    }
    if (const int done = before(); done != 0) return done;
    if (!GetParam() && root) {
      CHILD_EXPECT(::setresgid(kUser, kUser, kUser) == 0 && ::setresuid(kUser, kUser, kUser) == 0);
      // Such a change makes /proc/self root's. An execve, which there is between login and us, undoes that.
      CHILD_EXPECT(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
    }
    if (!GetParam() && !may_make_user_namespaces()) return kSkipped;
    const auto entered = enter_sandbox(settings_, log_);
    if (!entered) {
      std::fprintf(stderr, "%s\n", entered.error().message.c_str());
      return 1;
    }
    return inside();
  }

  static bool may_make_user_namespaces() {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? 0 : 1);
    int status = 1;
    return ::waitpid(child, &status, 0) == child && status == 0;
  }
};

std::string who(const ::testing::TestParamInfo<bool>& parameter) {
  return parameter.param ? "root" : "user";
}

INSTANTIATE_TEST_SUITE_P(By, Sandbox, ::testing::Bool(), who);

TEST_P(Sandbox, only_the_folders_are_there) {
  check([&] {
    CHILD_EXPECT(read_text(base_ + "/kept/below/file") == "kept");
    CHILD_EXPECT(!fs::exists(base_ + "/other"));
    for (const char* path : {"/proc/self", "/home", "/root", "/var", "/usr", "/dev/null", "/etc"}) {
      CHILD_EXPECT(!fs::exists(path));
    }
    CHILD_EXPECT(fs::current_path() == "/");
    return 0;
  });
}

TEST_P(Sandbox, all_of_it_is_read_only) {
  check(
      [&] {
        CHILD_EXPECT(::open((base_ + "/kept/below/file").c_str(), O_WRONLY) < 0 && errno == EROFS);
        CHILD_EXPECT(::open((base_ + "/kept/below/mounted/new").c_str(), O_WRONLY | O_CREAT, 0600) < 0);
        CHILD_EXPECT(::geteuid() != 0 || errno == EROFS);
        CHILD_EXPECT(::mkdir("/new", 0700) < 0 && errno == EROFS);
        return 0;
      },
      [&] {
        const std::string place = base_ + "/kept/below/mounted";
        if (::geteuid() != 0) return 0;
        CHILD_EXPECT(::mkdir(place.c_str(), 0777) == 0);
        CHILD_EXPECT(::mount("tmpfs", place.c_str(), "tmpfs", 0, "mode=0777") == 0);
        return 0;
      });
}

TEST_P(Sandbox, the_ids_and_capabilities) {
  check([&] {
    CHILD_EXPECT(::getuid() == 0 && ::geteuid() == 0 && ::getegid() == 0);
    CHILD_EXPECT(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    for (int each = 0; each < ::cap_max_bits(); ++each) {
      const bool kept = each == CAP_NET_BIND_SERVICE;
      CHILD_EXPECT(::cap_get_bound(each) == (kept ? 1 : 0));
      CHILD_EXPECT(::cap_get_ambient(each) == 0);
      const cap_t now = ::cap_get_proc();
      for (const cap_flag_t set : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE}) {
        cap_flag_value_t value = CAP_CLEAR;
        CHILD_EXPECT(::cap_get_flag(now, each, set, &value) == 0 && (value == CAP_SET) == kept);
      }
      ::cap_free(now);
    }
    CHILD_EXPECT(::unshare(CLONE_NEWNS) != 0);
    return 0;
  });
}

TEST_P(Sandbox, an_open_folder_leads_no_further) {
  const int folder = ::open((base_ + "/socket").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(folder, 0);
  check([&] {
    CHILD_EXPECT(::faccessat(folder, "../other/secret", F_OK, 0) != 0 && errno == ENOENT);
    CHILD_EXPECT(::faccessat(folder, "../../../../etc/passwd", F_OK, 0) != 0);
    // What it is for still works: the file of a control socket goes.
    CHILD_EXPECT(::faccessat(folder, "file", F_OK, 0) == 0);
    CHILD_EXPECT(::unlinkat(folder, "file", 0) == 0);
    return 0;
  });
  ::close(folder);
  EXPECT_TRUE(IsSkipped() || !fs::exists(base_ + "/socket/file"));
}

TEST_P(Sandbox, an_open_folder_that_is_gone_leads_nowhere) {
  const int folder = ::open((base_ + "/socket").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  fs::rename(base_ + "/socket", base_ + "/moved");
  fs::create_directory(base_ + "/socket");
  fs::remove_all(base_ + "/moved");
  check([&] {
    CHILD_EXPECT(::faccessat(folder, "..", F_OK, 0) == 0);
    CHILD_EXPECT(::faccessat(folder, "../other", F_OK, 0) != 0);
    CHILD_EXPECT(::openat(folder, "../new", O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
    return 0;
  });
  ::close(folder);
}

TEST_P(Sandbox, an_open_folder_that_is_covered_leads_nowhere) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can cover it before";
  const int folder = ::open((base_ + "/socket").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  check(
      [&] {
        CHILD_EXPECT(::faccessat(folder, "file", F_OK, 0) != 0);
        CHILD_EXPECT(::faccessat(folder, "cover", F_OK, 0) != 0);
        return 0;
      },
      [&] {
        CHILD_EXPECT(::mount("tmpfs", (base_ + "/socket").c_str(), "tmpfs", 0, "mode=0777") == 0);
        CHILD_EXPECT(write_file((base_ + "/socket/cover").c_str(), "another folder's"));
        return 0;
      });
  ::close(folder);
}

TEST_P(Sandbox, a_file_is_found_through_links_out_of_the_folders) {
  fs::create_directories(base_ + "/far/real");
  ASSERT_TRUE(write_file((base_ + "/far/real/resolv.conf").c_str(), "one"));
  ASSERT_TRUE(write_file((base_ + "/far/real/secret").c_str(), "secret"));
  fs::create_directory_symlink("far/real", base_ + "/way");
  fs::create_symlink("../way/resolv.conf", base_ + "/kept/resolv.conf");
  fs::permissions(base_ + "/far/real/resolv.conf", fs::perms(0666));
  settings_.file = base_ + "/kept/resolv.conf";
  int go[2];
  int done[2];
  ASSERT_TRUE(::pipe(go) == 0 && ::pipe(done) == 0);
  const pid_t writer = ::fork();  // outside
  if (writer == 0) {
    char byte = 0;
    ::close(go[1]);
    if (::read(go[0], &byte, 1) == 1) write_file((base_ + "/far/real/resolv.conf").c_str(), "two");
    ::_exit(::write(done[1], "x", 1) == 1 ? 0 : 1);
  }
  check([&] {
    char byte = 0;
    CHILD_EXPECT(read_text(settings_.file) == "one");
    CHILD_EXPECT(!fs::exists(base_ + "/far/real/secret"));
    CHILD_EXPECT(::open(settings_.file.c_str(), O_WRONLY) < 0 && errno == EROFS);
    CHILD_EXPECT(::write(go[1], "x", 1) == 1 && ::read(done[0], &byte, 1) == 1);
    CHILD_EXPECT(read_text(settings_.file) == "two");
    return 0;
  });
  for (const int fd : {go[0], go[1], done[0], done[1]}) ::close(fd);
  ::waitpid(writer, nullptr, 0);
}

TEST_P(Sandbox, a_link_back_into_the_folders) {
  ASSERT_TRUE(write_file((base_ + "/kept/real").c_str(), "one"));
  fs::create_directory_symlink(base_ + "/kept", base_ + "/alias");
  fs::create_symlink(base_ + "/alias/real", base_ + "/kept/resolv.conf");
  settings_.file = base_ + "/kept/resolv.conf";
  check([&] {
    CHILD_EXPECT(read_text(settings_.file) == "one");
    return 0;
  });
}

TEST_P(Sandbox, odd_files_do_not_stop_it) {
  for (const char* target : {"/no/such/file", "/tmp", "loop", "../../../../.."}) {
    fs::remove(base_ + "/kept/loop");
    fs::create_symlink(target, base_ + "/kept/loop");
    settings_.file = base_ + "/kept/loop";
    settings_.folders = {base_ + "/kept", "/no/such/folder"};
    check([&] {
      CHILD_EXPECT(fs::exists(base_ + "/kept/below/file"));
      CHILD_EXPECT(!fs::exists(base_ + "/other"));
      return 0;
    });
  }
}

// On a kernel without mount_setattr(2).
TEST_P(Sandbox, on_an_older_kernel) {
  check(
      [&] {
        CHILD_EXPECT(::open((base_ + "/kept/below/file").c_str(), O_WRONLY) < 0 && errno == EROFS);
        CHILD_EXPECT(::mkdir("/new", 0700) < 0 && errno == EROFS);
        struct statvfs status {};
        CHILD_EXPECT(::statvfs((base_ + "/kept").c_str(), &status) == 0 && (status.f_flag & ST_NOEXEC) != 0);
        return 0;
      },
      [] {
        const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
        const auto refuse = SCMP_ACT_ERRNO(ENOSYS);
        CHILD_EXPECT(::seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, ::geteuid() == 0 ? 0 : 1) == 0);
        CHILD_EXPECT(::seccomp_rule_add(filter, refuse, SCMP_SYS(mount_setattr), 0) == 0);
        CHILD_EXPECT(::seccomp_load(filter) == 0);
        ::seccomp_release(filter);
        return 0;
      });
}

// A mounted network namespace would live for as long as our copy of the mount.
TEST_P(Sandbox, does_not_hold_mounted_namespaces) {
  if (!GetParam()) GTEST_SKIP() << "only where the mounts are the caller's own";
  check(
      [&] {
        struct statfs status {};
        CHILD_EXPECT(::statfs((base_ + "/kept/my net").c_str(), &status) == 0);
        CHILD_EXPECT(status.f_type != NSFS_MAGIC);
        return 0;
      },
      [&] {
        const std::string place = base_ + "/kept/my net";
        CHILD_EXPECT(write_file(place.c_str(), ""));
        CHILD_EXPECT(::mount("/proc/self/ns/net", place.c_str(), nullptr, MS_BIND, nullptr) == 0);
        return 0;
      });
}

// Without user namespaces an unprivileged user has no sandbox, and is told so.
TEST(SandboxRefused, says_what_is_missing) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::_exit([] {
      const std::string map = fmt::format("0 {} 1", ::geteuid());
      if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !write_file("/proc/self/uid_map", map))
        return kSkipped;
      CHILD_EXPECT(write_file("/proc/sys/user/max_user_namespaces", "0"));
      const cap_t none = ::cap_init();
      CHILD_EXPECT(::cap_set_proc(none) == 0);
      ::cap_free(none);
      const auto entered = enter_sandbox({}, Log(LogLevel::error, [](LogLevel, std::string_view) {}));
      CHILD_EXPECT(!entered);
      CHILD_EXPECT(entered.error().message.find("sysctl user.max_user_namespaces=") != std::string::npos);
      CHILD_EXPECT(entered.error().message.find('\n') == std::string::npos);
      CHILD_EXPECT(fs::exists("/usr"));
      return 0;
    }());
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << "no user namespaces here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sf::setup
