// The filter that the program has, and those of its helpers: what each refuses, and what it must not.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "cli/confinement.hh"
#include "setup/seccomp.hh"
#include "setup/system_calls.hh"

namespace sf::setup {
namespace {

constexpr int kUnexpected = 1;
constexpr int kNoFilter = 2;

struct Deed {
  const char* name;
  std::function<bool()> act;  // true where it worked
};

// The wait status of a process that installs the filter and acts.
int status_after(const std::function<bool()>& act, const std::function<AllowedCalls()>& list) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{};
    static_cast<void>(::setrlimit(RLIMIT_CORE, &none));  // a violation dumps core
    if (!install_filter(list())) ::_exit(kNoFilter);
    ::_exit(act() ? 0 : kUnexpected);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child ? status : -1;
}

struct Who {
  const char* name;
  std::function<AllowedCalls()> list;  // made in the process that is to be confined
};

const Who kNative{"native", [] { return cli::program_calls(true); }};
const Who kSlirp4netns{"slirp4netns", [] { return cli::program_calls(false); }};
AllowedCalls operator+(AllowedCalls left, const AllowedCalls& right) {
  allow_all_of(left, right);
  return left;
}

constexpr int kFolder = 77;
const Who kKeeper{"keeper", [] { return library_calls() + keeper_calls() + removing_calls({kFolder}); }};
const Who kPathKeeper{"keeper of PATH", [] { return kKeeper.list() + unmounting_calls(); }};
const Who kHelper{"attach's child",
                  [] { return library_calls() + helper_calls(true) + removing_calls({kFolder}); }};
const Who kPathHelper{"PATH's child", [] { return kHelper.list() + unmounting_calls(); }};
const Who kInit{"run's child", [] {
                  return library_calls() + helper_calls(false) + init_calls() + removing_calls({kFolder});
                }};

const std::vector<Who>& programs() {
  static const std::vector<Who> all{kNative, kSlirp4netns};
  return all;
}
const std::vector<Who>& everybody() {
  static const std::vector<Who> all{kNative, kSlirp4netns, kKeeper, kPathKeeper, kHelper, kPathHelper, kInit};
  return all;
}

void expect_refused(const Deed& deed, const std::vector<Who>& by = programs()) {
  for (const Who& who : by) {
    const int status = status_after(deed.act, who.list);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        << deed.name << " by " << who.name << ": wait status " << status;
  }
}

void expect_allowed(const Deed& deed, const std::vector<Who>& by = programs()) {
  for (const Who& who : by) EXPECT_EQ(status_after(deed.act, who.list), 0) << deed.name << " by " << who.name;
}

template <typename... Arguments>
std::function<bool()> call(long number, Arguments... arguments) {
  return [=] { return ::syscall(number, arguments...) >= 0; };
}

std::function<bool()> socket_of(int family, int type, int protocol) {
  return [=] { return ::socket(family, type, protocol) >= 0; };
}

std::function<bool()> opening(const char* path, int flags) {
  return [=] { return ::open(path, flags, 0600) >= 0; };
}

std::function<bool()> option(int level, int name) {
  return [=] {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    return ::setsockopt(fd, level, name, &on, sizeof(on)) == 0;
  };
}

// Of these, none would do harm if it were allowed: the filter looks before the kernel looks at the arguments.
TEST(Seccomp, other_programs_and_processes) {
  char* const none[] = {nullptr};
  for (const Deed& deed : {
           Deed{"execve", [&] { return ::execve("/bin/true", none, none) == 0; }},
           Deed{"execveat", call(SYS_execveat, AT_FDCWD, "/bin/true", none, none, 0)},
           Deed{"fork", [] { return ::fork() >= 0; }},
           Deed{"vfork", [] { return ::system("true") >= 0; }},
           Deed{"a thread", [] { return (std::thread([] {}).join(), true); }},
           Deed{"clone3", call(SYS_clone3, nullptr, 0)},
           Deed{"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0; }},
           Deed{"process_vm_readv", call(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0)},
           Deed{"tgkill of another", call(SYS_tgkill, 1, 1, 0)},
           Deed{"pidfd_open", call(SYS_pidfd_open, 1, 0)},
           Deed{"prlimit", call(SYS_prlimit64, 1, RLIMIT_CORE, nullptr, nullptr)},
       }) {
#ifdef __SANITIZE_ADDRESS__
    if (std::string(deed.name) == "prlimit") continue;  // the sanitizer needs it
#endif
    expect_refused(deed, everybody());
  }
  expect_refused({"kill", [] { return ::kill(::getpid(), SIGKILL) == 0; }}, {kNative, kSlirp4netns, kHelper});
  expect_refused({"kill of another", call(SYS_kill, 1, 0)},
                 {kNative, kSlirp4netns, kHelper, kKeeper, kPathKeeper});
}

TEST(Seccomp, namespaces_mounts_and_rights) {
  for (const Deed& deed : {
           Deed{"unshare user", call(SYS_unshare, CLONE_NEWUSER)},
           Deed{"unshare net", call(SYS_unshare, CLONE_NEWNET)},
           Deed{"setns", call(SYS_setns, -1, 0)},
           Deed{"setns to a user namespace", call(SYS_setns, -1, CLONE_NEWUSER)},
           Deed{"mount", call(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr)},
           Deed{"mounts changed", call(SYS_mount, nullptr, nullptr, nullptr, MS_REMOUNT | MS_BIND, nullptr)},
           Deed{"umount", call(SYS_umount2, nullptr, 0)},
           Deed{"fsopen", call(SYS_fsopen, nullptr, 0)},
           Deed{"open_tree", call(SYS_open_tree, -1, nullptr, 0)},
           Deed{"move_mount", call(SYS_move_mount, -1, nullptr, -1, nullptr, 0)},
           Deed{"mount_setattr", call(SYS_mount_setattr, -1, nullptr, 0, nullptr, 0)},
           Deed{"pivot_root", call(SYS_pivot_root, nullptr, nullptr)},
           Deed{"chroot", call(SYS_chroot, nullptr)},
           Deed{"chdir", call(SYS_chdir, nullptr)},
           Deed{"fchdir", call(SYS_fchdir, -1)},
           Deed{"setuid", call(SYS_setuid, 0)},
           Deed{"capset", call(SYS_capset, nullptr, nullptr)},
           Deed{"prctl", call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)},
           Deed{"keyctl", call(SYS_keyctl, 0, 0, 0, 0, 0)},
           Deed{"bpf", call(SYS_bpf, 0, nullptr, 0)},
           Deed{"perf_event_open", call(SYS_perf_event_open, nullptr, 0, 0, 0, 0)},
           Deed{"io_uring_setup", call(SYS_io_uring_setup, 1, nullptr)},
           Deed{"userfaultfd", call(SYS_userfaultfd, 0)},
           Deed{"seccomp", call(SYS_seccomp, 0, 0, nullptr)},
           Deed{"a call that is not there", call(4000)},
#ifdef __x86_64__
           Deed{"write by x32's number", call(SYS_write | 0x40000000, 1, "", 0)},
#endif
       }) {
    expect_refused(deed, everybody());
  }
  expect_refused({"setns", call(SYS_setns, -1, CLONE_NEWNET)},
                 {kNative, kSlirp4netns, kKeeper, kPathKeeper, kInit});
  expect_refused({"umount", call(SYS_umount2, "/no/such/mount", MNT_DETACH)},
                 {kNative, kSlirp4netns, kKeeper, kHelper});
}

TEST(Seccomp, files) {
  for (const Deed& deed : {
           Deed{"open for writing", opening("/dev/null", O_WRONLY)},
           Deed{"open for both", opening("/dev/null", O_RDWR)},
           Deed{"create", opening("/no/such/folder/file", O_RDONLY | O_CREAT)},
           Deed{"create or write", opening("/no/such/folder/file", O_WRONLY | O_CREAT)},
           Deed{"truncate", opening("/dev/null", O_RDONLY | O_TRUNC)},
           Deed{"an unnamed file", opening("/no/such/folder", O_TMPFILE | O_RDWR)},
           Deed{"open from a folder", call(SYS_openat, 3, "etc/passwd", O_RDONLY)},
           Deed{"openat2", call(SYS_openat2, AT_FDCWD, "/", nullptr, 0)},
           Deed{"open_by_handle_at", call(SYS_open_by_handle_at, AT_FDCWD, nullptr, 0)},
           Deed{"rename", [] { return std::rename("/no/such/file", "/no/such/other") == 0; }},
           Deed{"unlink", [] { return ::unlink("/no/such/file") == 0; }},
           Deed{"rmdir by unlinkat", [] { return ::unlinkat(-1, "none", AT_REMOVEDIR) == 0; }},
           Deed{"mkdir", [] { return ::mkdir("/no/such/folder", 0700) == 0; }},
           Deed{"symlink", [] { return ::symlink("x", "/no/such/folder") == 0; }},
           Deed{"link", [] { return ::link("/no/such/file", "/no/such/folder") == 0; }},
           Deed{"chmod", [] { return ::chmod("/no/such/file", 0777) == 0; }},
           Deed{"memfd_create", call(SYS_memfd_create, "x", 0)},
           Deed{"a terminal's input", [] { return ::ioctl(-1, TIOCSTI, "x") == 0; }},
           Deed{"signals by fcntl", [] { return ::fcntl(-1, F_SETOWN, 1) == 0; }},
       }) {
    expect_refused(deed, everybody());
  }
  for (const Deed& deed : {
           Deed{"a folder to look from", opening("/", O_PATH | O_DIRECTORY)},
           Deed{"a file to hold", opening("/etc/passwd", O_PATH)},
       }) {
    expect_refused(deed, {kNative, kSlirp4netns, kKeeper, kPathKeeper, kHelper});
  }
  const Deed remove{"unlinkat", [] { return ::unlinkat(AT_FDCWD, "/no/such/file", 0) == 0; }};
  expect_refused(remove, {kNative, kKeeper, kPathKeeper, kHelper, kInit});
#ifndef __SANITIZE_ADDRESS__  // whose reports need files
  expect_refused({"open for reading", opening("/etc/passwd", O_RDONLY)}, {kNative});
  expect_refused({"looking at a file",
                  [] {
                    struct stat found {};
                    return ::stat("/etc/passwd", &found) == 0;
                  }},
                 {kNative, kHelper});
#endif
}

TEST(Seccomp, executable_memory) {
  const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  expect_refused({"mprotect", [&] { return ::mprotect(page, size, PROT_READ | PROT_EXEC) == 0; }},
                 everybody());
  expect_refused({"pkey_mprotect", call(SYS_pkey_mprotect, page, size, PROT_EXEC, -1)}, everybody());
  expect_refused({"mmap",
                  [&] {
                    return ::mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                           MAP_FAILED;
                  }},
                 everybody());
  ::munmap(page, size);
}

TEST(Seccomp, sockets) {
  for (const Deed& deed : {
           Deed{"packet", socket_of(AF_PACKET, SOCK_RAW, 0)},
           Deed{"packet datagrams", socket_of(AF_PACKET, SOCK_DGRAM, 0)},
           Deed{"the old packet type", socket_of(AF_INET, SOCK_PACKET, 0)},
           Deed{"raw", socket_of(AF_INET, SOCK_RAW, IPPROTO_ICMP)},
           Deed{"raw, version 6", socket_of(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)},
           Deed{"netlink", socket_of(AF_NETLINK, SOCK_DGRAM, 0)},
           Deed{"routes", socket_of(AF_NETLINK, SOCK_RAW, 0)},
           Deed{"unix", socket_of(AF_UNIX, SOCK_STREAM, 0)},
           Deed{"unix datagrams", socket_of(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)},
           Deed{"vsock", socket_of(AF_VSOCK, SOCK_STREAM, 0)},
           Deed{"crypto", socket_of(AF_ALG, SOCK_SEQPACKET, 0)},
           Deed{"SCTP", socket_of(AF_INET, SOCK_STREAM, IPPROTO_SCTP)},
           Deed{"multipath TCP", socket_of(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)},
           Deed{"a pair",
                [] {
                  std::array<int, 2> ends{};
                  return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0;
                }},
           Deed{"a filter program", option(SOL_SOCKET, SO_ATTACH_FILTER)},
           Deed{"an upper layer", option(IPPROTO_TCP, TCP_ULP)},
           Deed{"multicast", option(IPPROTO_IP, IP_ADD_MEMBERSHIP)},
           Deed{"a transparent socket", option(IPPROTO_IP, IP_TRANSPARENT)},
       }) {
    expect_refused(deed, everybody());
  }
}

TEST(Seccomp, ordinary_work_goes_on) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (const Deed& deed : {
           Deed{"memory", [] { return !std::vector<char>(64 << 20, 'x').empty(); }},
           Deed{"TCP", socket_of(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)},
           Deed{"TCP, version 6", socket_of(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)},
           Deed{"UDP", socket_of(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP)},
           Deed{"UDP, version 6", socket_of(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)},
           Deed{"an option", option(IPPROTO_TCP, TCP_NODELAY)},
           Deed{"writing", [&] { return ::write(pipe[1], "x", 1) == 1; }},
           Deed{"waiting",
                [&] {
                  epoll_event event{};
                  const timespec soon{.tv_sec = 0, .tv_nsec = 1000000};
                  return ::epoll_wait(epoll, &event, 1, 1) == 0 &&
                         ::epoll_pwait2(epoll, &event, 1, &soon, nullptr) == 0;
                }},
           Deed{"listening",
                [] {
                  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
                  return ::listen(fd, 1) == 0 && ::accept4(-1, nullptr, nullptr, 0) < 0;
                }},
           Deed{"an exception",
                [] {
                  try {
                    throw std::runtime_error("thrown");
                  } catch (const std::exception&) {
                    return true;
                  }
                }},
       }) {
    expect_allowed(deed);
  }
  expect_allowed({"a file", opening("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK)},
                 {kSlirp4netns, kKeeper, kHelper, kInit});
  for (const int fd : {pipe[0], pipe[1], epoll}) ::close(fd);
}

TEST(Seccomp, a_failed_assertion_is_told_as_such) {
  for (const Who& who : everybody()) {
    const int status = status_after([] { return (std::abort(), true); }, who.list);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << who.name << ": " << status;
  }
}

TEST(Seccomp, helpers_may_end_what_others_have_left) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(static_cast<int>(::sleep(5)));
  expect_refused({"SIGTERM", [&] { return ::kill(child, SIGTERM) == 0; }}, {kKeeper, kPathKeeper});
  expect_allowed({"SIGKILL", [&] { return ::kill(child, SIGKILL) == 0; }}, {kKeeper, kPathKeeper, kInit});
  ::waitpid(child, nullptr, 0);
}

TEST(Seccomp, files_are_removed_from_known_folders_alone) {
  char folder[] = "/tmp/sf-keeper-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  ASSERT_EQ(::dup2(::open(folder, O_PATH | O_DIRECTORY), kFolder), kFolder);
  ::close(::openat(kFolder, "one", O_WRONLY | O_CREAT, 0600));
  ::close(::openat(kFolder, "two", O_WRONLY | O_CREAT, 0600));
  expect_allowed({"unlinkat", [] { return ::unlinkat(kFolder, "one", 0) == 0; }}, {kKeeper});
  expect_refused({"from another", [] { return ::unlinkat(78, "two", 0) == 0; }},
                 {kKeeper, kPathKeeper, kHelper, kPathHelper, kInit});
  EXPECT_EQ(::unlinkat(kFolder, "two", 0), 0);
  EXPECT_EQ(::rmdir(folder), 0);
  ::close(kFolder);
}

// Threads are there before the filter, which holds for them too, and they go on.
TEST(Seccomp, holds_for_threads_that_are_there) {
  for (const bool forbidden : {false, true}) {
    const pid_t child = ::fork();
    if (child == 0) {
      const rlimit none{};
      static_cast<void>(::setrlimit(RLIMIT_CORE, &none));
      std::array<int, 2> go{};
      if (::pipe(go.data()) != 0) ::_exit(kUnexpected);
      std::atomic<bool> done = false;
      std::thread thread([&] {
        char byte = 0;
        static_cast<void>(::read(go[0], &byte, 1) < 0);
        const std::vector<char> memory(64 << 20, 'x');
        if (forbidden) static_cast<void>(::socket(AF_PACKET, SOCK_RAW, 0));
        done = memory.back() == 'x';
      });
      if (!install_filter(kNative.list())) ::_exit(kNoFilter);
      static_cast<void>(::write(go[1], "x", 1) < 0);
      thread.join();
      ::_exit(done ? 0 : kUnexpected);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (forbidden) {
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
    } else {
      EXPECT_EQ(status, 0);
    }
  }
}

TEST(Seccomp, sets_no_new_privileges) {
  // PR_GET_NO_NEW_PRIVS is refused as well: the kernel's own word.
  expect_allowed({"NoNewPrivs",
                  [] {
                    std::array<char, 4096> text{};
                    const int fd = ::open("/proc/self/status", O_RDONLY);
                    const ssize_t size = ::read(fd, text.data(), text.size());
                    const std::string status(text.data(), static_cast<std::size_t>(size));
                    return status.find("NoNewPrivs:\t1") != std::string::npos &&
                           status.find("Seccomp:\t2") != std::string::npos;
                  }},
                 {kSlirp4netns, kKeeper, kHelper, kInit});
}

}  // namespace
}  // namespace sf::setup
