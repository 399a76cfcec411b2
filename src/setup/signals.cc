#include "setup/signals.hh"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&set, number);
  return set;
}

sigset_t child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return set;
}

Result<UniqueFd> open_signalfd(const sigset_t& set) {
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd)
    return fail("cannot make a signalfd: {}; raise the limit of open files (ulimit -n)", reason(errno));
  return fd;
}

}  // namespace

SignalState take_signals() {
  SignalState state;
  const sigset_t set = handled_signals();
  static_cast<void>(::sigprocmask(SIG_BLOCK, &set, &state.mask));
  struct sigaction old {};
  static_cast<void>(::sigaction(SIGPIPE, nullptr, &old));
  state.pipe_ignored = old.sa_handler == SIG_IGN;
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  static_cast<void>(::sigaction(SIGPIPE, &ignore, nullptr));
  return state;
}

void restore_signals(const SignalState& state) {
  if (!state.pipe_ignored) {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    static_cast<void>(::sigaction(SIGPIPE, &standard, nullptr));
  }
  static_cast<void>(::sigprocmask(SIG_SETMASK, &state.mask, nullptr));
}

Result<SignalSource> SignalSource::open() {
  auto fd = open_signalfd(handled_signals());
  if (!fd) return tl::unexpected(fd.error());
  return SignalSource(*std::move(fd));
}

Result<SignalSource> SignalSource::open_for_children() {
  const sigset_t set = child_signals();
  static_cast<void>(::sigprocmask(SIG_BLOCK, &set, nullptr));
  auto fd = open_signalfd(set);
  if (!fd) return tl::unexpected(fd.error());
  return SignalSource(*std::move(fd));
}

std::optional<SignalEvent> SignalSource::next() const {
  signalfd_siginfo info{};
  const ssize_t got = ::read(fd_.get(), &info, sizeof(info));
  if (got != static_cast<ssize_t>(sizeof(info))) return std::nullopt;
  return SignalEvent{static_cast<int>(info.ssi_signo), info.ssi_code <= 0};  // SI_USER, SI_QUEUE, SI_TKILL
}

}  // namespace sf::setup
