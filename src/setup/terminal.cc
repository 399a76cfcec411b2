#include "setup/terminal.hh"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

// The alternate screen, no cursor, no lines that wrap around; and all of it back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
// How long a terminal that takes nothing is waited for at the end.
constexpr int kLastWordsMs = 200;

sigset_t events() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT}) {
    sigaddset(&set, number);
  }
  return set;
}

}  // namespace

bool Terminal::is_there() {
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
}

Result<std::unique_ptr<Terminal>> Terminal::open() {
  UniqueFd tty(::open("/dev/tty", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  termios before{};
  if (!tty || ::tcgetattr(tty.get(), &before) != 0) {
    return fail("cannot use the terminal: /dev/tty: {}; start it from a shell in a terminal", reason(errno));
  }
  const sigset_t set = events();
  static_cast<void>(::sigprocmask(SIG_BLOCK, &set, nullptr));
  UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!signals || !timer) {
    return fail("cannot watch the terminal: {}; raise the limit of open files (ulimit -n)", reason(errno));
  }
  std::unique_ptr<Terminal> terminal(new Terminal(std::move(tty), std::move(signals), std::move(timer)));
  terminal->before_ = before;
  return terminal;
}

Terminal::Terminal(UniqueFd tty, UniqueFd signals, UniqueFd timer)
    : tty_(std::move(tty)), signals_(std::move(signals)), timer_(std::move(timer)) {}

Terminal::~Terminal() {
  leave();
}

void Terminal::enter(Duration interval) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(interval);
  itimerspec period{};
  period.it_interval = {.tv_sec = seconds.count(), .tv_nsec = (interval - seconds).count()};
  period.it_value = period.it_interval;
  static_cast<void>(::timerfd_settime(timer_.get(), 0, &period, nullptr));
  take_screen();
}

// In the background the screen is somebody else's, and to change the terminal's modes stops a program, which
// then takes no signal that is to end it. It is looked at again at the next signal and whenever it is due.
void Terminal::take_screen() {
  const pid_t foreground = ::tcgetpgrp(tty_.get());
  background_ = foreground >= 0 && foreground != ::getpgrp();
  if (background_) {
    give_screen_back();
    return;
  }
  entered_ = true;
  termios raw = before_;
  // ISIG stays: Ctrl-C and Ctrl-Z are signals.
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  static_cast<void>(::tcsetattr(tty_.get(), TCSANOW, &raw));
  write(kEnter);
}

// From the background, after a stop that could not be noticed: the modes are the shell's own already.
void Terminal::give_screen_back() {
  output_.clear();
  if (!std::exchange(entered_, false)) return;
  sigset_t stops;
  sigset_t before;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTTOU);
  static_cast<void>(::sigprocmask(SIG_BLOCK, &stops, &before));  // stty tostop
  static_cast<void>(::write(tty_.get(), kLeave.data(), kLeave.size()) < 0);
  static_cast<void>(::sigprocmask(SIG_SETMASK, &before, nullptr));
}

void Terminal::leave() {
  if (!std::exchange(entered_, false)) return;
  write(kLeave);
  pollfd watched{.fd = tty_.get(), .events = POLLOUT, .revents = 0};
  for (;;) {
    flush();
    if (output_.empty() || ::poll(&watched, 1, kLastWordsMs) != 1 || (watched.revents & POLLHUP) != 0) break;
  }
  output_.clear();
  static_cast<void>(::tcsetattr(tty_.get(), TCSANOW, &before_));
}

Terminal::Size Terminal::size() const {
  winsize size{};
  if (::ioctl(tty_.get(), TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

void Terminal::flush() {
  while (!output_.empty()) {
    const ssize_t put = ::write(tty_.get(), output_.data(), output_.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return;
    output_.erase(0, static_cast<std::size_t>(put));
  }
}

Terminal::Event Terminal::wait() {
  flush();
  // What is typed meanwhile is the shell's, and reading it would stop this.
  const short keys_wanted = background_ ? 0 : POLLIN;
  const auto wanted = static_cast<short>(output_.empty() ? keys_wanted : keys_wanted | POLLOUT);
  std::array<pollfd, 3> watched{{{.fd = tty_.get(), .events = wanted, .revents = 0},
                                 {.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = timer_.get(), .events = POLLIN, .revents = 0}}};
  Event event;
  if (::poll(watched.data(), watched.size(), -1) < 0) return event;
  if (watched[1].revents != 0) read_signals(event);
  std::uint64_t expirations = 0;
  event.due = ::read(timer_.get(), &expirations, sizeof(expirations)) > 0;
  if (background_ && event.due && event.ended_by == 0) {
    take_screen();
    event.redraw = !background_;
  }
  if ((watched[0].revents & POLLIN) != 0) {
    std::array<char, 256> keys;
    const ssize_t got = ::read(tty_.get(), keys.data(), keys.size());
    if (got > 0) event.keys.assign(keys.data(), static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno == EIO)) event.hung_up = true;
  } else if ((watched[0].revents & (POLLHUP | POLLERR)) != 0) {
    event.hung_up = true;
  }
  flush();
  return event;
}

void Terminal::read_signals(Event& event) {
  Seen seen = take_signals(event);
  if (seen.stop && event.ended_by == 0) {
    stop_until_continued();
    static_cast<void>(take_signals(event));  // with the SIGCONT, and whatever else came meanwhile
    seen.continued = true;
  }
  // Somebody may have stopped it by another signal, too.
  if (!seen.continued || event.ended_by != 0) return;
  take_screen();
  event.redraw = true;
}

Terminal::Seen Terminal::take_signals(Event& event) {
  Seen seen;
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    switch (static_cast<int>(info.ssi_signo)) {
      case SIGWINCH:
        event.redraw = true;
        break;
      case SIGTSTP:
        seen.stop = true;
        break;
      case SIGCONT:
        seen.continued = true;
        break;
      default:
        event.ended_by = static_cast<int>(info.ssi_signo);
        break;
    }
  }
  return seen;
}

// By the signal itself, and not SIGSTOP: where no shell is there that could continue it, the kernel leaves it
// running.
void Terminal::stop_until_continued() {
  leave();
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  static_cast<void>(::sigaction(SIGTSTP, &plain, nullptr));
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  static_cast<void>(::raise(SIGTSTP));
  static_cast<void>(::sigprocmask(SIG_UNBLOCK, &stop, nullptr));
  static_cast<void>(::sigprocmask(SIG_BLOCK, &stop, nullptr));
}

}  // namespace sf::setup
