// The program's signals as descriptors, and their original state for CMD.
#pragma once

#include <csignal>
#include <optional>

#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

// What the program was started with; CMD gets it back.
struct SignalState {
  sigset_t mask{};
  bool pipe_ignored = false;
};

// Blocks the signals that the program handles through a SignalSource, and ignores SIGPIPE. To be called first
// of all in main(), so that no signal is lost and every child starts with them blocked. SIGTSTP and SIGCONT
// keep their default: the terminal stops and continues all of a foreground job at once, this program
// included.
[[nodiscard]] SignalState take_signals();

// For CMD, before it is executed: mask and dispositions as they were.
void restore_signals(const SignalState& state);

struct SignalEvent {
  int number = 0;
  // From a process, by kill(2) and its like. False for what a terminal sends: it reaches the whole foreground
  // process group, CMD included, and is not to be forwarded.
  bool from_process = false;
};

// A signalfd(2).
class SignalSource {
 public:
  // For SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2.
  [[nodiscard]] static Result<SignalSource> open();
  [[nodiscard]] static Result<SignalSource> open_for_children();  // SIGCHLD

  [[nodiscard]] int fd() const { return fd_.get(); }
  // The next one, absent where there is none now. To be called until it is absent.
  [[nodiscard]] std::optional<SignalEvent> next() const;

 private:
  explicit SignalSource(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// True where the program is to forward this one to CMD. SIGHUP always: a terminal's goes to the session's
// leader alone where CMD is a shell that has made process groups of its own.
[[nodiscard]] inline bool is_forwarded(const SignalEvent& event) {
  return event.from_process || event.number == SIGHUP;
}

}  // namespace sf::setup
