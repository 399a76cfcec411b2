// To add a call: name who needs it, and restrict the arguments as far as that use allows. Never on a list:
// execve, clone and fork, ptrace, unshare, and in the program itself whatever finds files by their names.
#include "setup/system_calls.hh"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <csignal>

#include "setup/guest_helper.hh"

namespace sf::setup {
namespace {

using Is = ArgumentIs;

// Files by their names, for reading. O_TMPFILE writes, and has O_DIRECTORY in it, which nobody here needs.
void allow_reading(AllowedCalls& calls) {
  constexpr int kNot = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | O_TMPFILE | O_PATH;
  calls.push_back({"openat", {Is::is(0, AT_FDCWD), Is::has_none_of(2, kNot)}});
  calls.push_back({"open", {Is::has_none_of(1, kNot)}});
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// What a sanitizer's report needs, so that it is seen instead of SIGSYS.
void allow_sanitizers(AllowedCalls& calls) {
  allow(calls, {"sigaltstack", "sched_yield", "readlink", "readlinkat", "getdents64", "lstat", "getrlimit",
                "prlimit64", "getrusage", "pipe", "getcwd", "access", "uname", "stat", "newfstatat"});
#ifdef __SANITIZE_THREAD__
  allow(calls, {"nanosleep"});  // a thread of its own rests by it
#endif
  allow_reading(calls);
}
#endif

}  // namespace

AllowedCalls library_calls() {
  AllowedCalls calls;
  allow(calls,
        {"brk",           "munmap",          "mremap",       "madvise",      "futex",     "futex_time64",
         "clock_gettime", "clock_gettime64", "gettimeofday", "time",         "getrandom", "getpid",
         "gettid",        "rt_sigprocmask",  "rt_sigaction", "rt_sigreturn", "sigreturn", "restart_syscall",
         "exit",          "exit_group",      "close"});
  // Messages (setup/stderr_log).
  calls.push_back({"pwritev2", {Is::is(0, STDERR_FILENO), Is::is(5, RWF_NOWAIT)}});
  for (const char* name : {"mmap", "mmap2", "mprotect"})
    calls.push_back({name, {Is::has_none_of(2, PROT_EXEC)}});
  calls.push_back({"tgkill", {Is::is(0, ::getpid())}});  // abort()
  // Threads are there before the filter (cli/confinement.cc), and so clone and clone3 are on no list. What
  // one needs for its first steps, which may come after it, and for a heap of its own:
  allow(calls, {"rseq", "set_robust_list", "sched_getaffinity"});
  for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL}) {
    for (const char* name : {"fcntl", "fcntl64"}) calls.push_back({name, {Is::is(1, command)}});
  }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  allow_sanitizers(calls);
#endif
  return calls;
}

AllowedCalls program_calls() {
  AllowedCalls calls;
  allow(calls, {"read", "write", "writev", "fstat", "fstat64", "lseek", "_llseek", "sendmsg", "recvmsg",
                "recvfrom", "shutdown", "poll", "ppoll", "ppoll_time64", "wait4", "waitpid"});
  // fstat() of the policy's file, by which glibc on x86-64 means this.
  for (const char* name : {"newfstatat", "fstatat64"}) calls.push_back({name, {Is::is(3, AT_EMPTY_PATH)}});
  return calls;
}

AllowedCalls keeper_calls() {
  AllowedCalls calls;
  allow(calls, {"read", "write", "sendmsg", "recvmsg", "poll", "ppoll", "ppoll_time64", "wait4", "waitpid",
                "stat", "stat64", "newfstatat", "fstatat64", "statx", "fstat", "fstat64"});
  calls.push_back({"kill", {Is::is(1, SIGKILL)}});
  allow_reading(calls);
  return calls;
}

AllowedCalls removing_calls(const std::vector<int>& folders) {
  AllowedCalls calls;
  for (const int folder : folders) {
    for (const char* name : {"newfstatat", "fstatat64"}) calls.push_back({name, {Is::is(0, folder)}});
    calls.push_back({"unlinkat", {Is::is(0, folder), Is::is(2, 0)}});
  }
  return calls;
}

AllowedCalls helper_calls(bool visits) {
  AllowedCalls calls;
  allow(calls, {"read", "write", "sendmsg", "recvmsg", "sendto", "recvfrom", "poll", "ppoll", "ppoll_time64",
                "timerfd_create", "timerfd_settime", "timerfd_settime64", "bind", "getsockname"});
  constexpr std::uint32_t kKind = ~static_cast<std::uint32_t>(SOCK_NONBLOCK | SOCK_CLOEXEC);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const int type : {int{SOCK_STREAM}, int{SOCK_DGRAM}}) {
      calls.push_back(
          {"socket", {Is::is(0, family), {1, kKind, static_cast<std::uint32_t>(type)}, Is::is(2, 0)}});
    }
  }
  calls.push_back({"socket",
                   {Is::is(0, AF_NETLINK),
                    {1, kKind, static_cast<std::uint32_t>(SOCK_RAW)},
                    Is::is(2, NETLINK_SOCK_DIAG)}});
  calls.push_back({"setsockopt", {Is::is(1, IPPROTO_TCP), Is::is(2, TCP_NODELAY)}});
  allow_reading(calls);  // the range of ports for clients
  if (!visits) return calls;
  calls.push_back({"ioctl", {Is::is(1, static_cast<int>(kTapNamespaceRequest))}});
  calls.push_back({"setns", {Is::is(1, CLONE_NEWNET)}});
  return calls;
}

AllowedCalls unmounting_calls() {
  AllowedCalls calls;
  allow(calls, {"stat", "stat64", "newfstatat", "fstatat64", "statx"});
  calls.push_back({"umount2", {Is::is(1, MNT_DETACH)}});
  return calls;
}

AllowedCalls init_calls() {
  AllowedCalls calls;
  allow(calls, {"kill", "wait4", "waitpid"});
  // resolv.conf is mounted again where the host's was replaced (resolv_conf_mount.cc): what is opened exists
  // and is not written to, or is new.
  constexpr int kTemporary = O_TMPFILE & ~O_DIRECTORY;
  constexpr int kWrites = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | kTemporary;
  constexpr ArgumentIs kNew{2, static_cast<std::uint32_t>(kWrites | O_EXCL), O_WRONLY | O_CREAT | O_EXCL};
  calls.push_back({"openat", {Is::is(0, AT_FDCWD), Is::has_none_of(2, kWrites)}});
  calls.push_back({"openat", {Is::is(0, AT_FDCWD), kNew}});
  allow(calls, {"fchmod", "fstat", "fstat64", "stat", "stat64", "lstat", "lstat64", "newfstatat", "fstatat64",
                "statx"});
  for (const int flags : {int{MS_BIND}, MS_NOSUID | MS_NODEV | MS_NOEXEC, int{MS_RDONLY}}) {
    calls.push_back({"mount", {Is::is(3, flags)}});
  }
  calls.push_back({"umount2", {Is::is(1, MNT_DETACH)}});
  return calls;
}

}  // namespace sf::setup
