// Where a flow log goes: a file, a FIFO, or a descriptor that the program was started with.
//
// Opened before the program is confined. Writing may wait for whoever reads, which is why a thread of its own
// does it (flow_log.hh); where the kernel allows it, that thread can be called off.
#pragma once

#include <string>

#include "base/bytes.hh"
#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::flowlog {

class Output {
 public:
  // The Error is the whole line for the user.
  [[nodiscard]] static Result<Output> open(const std::string& path);
  // One that the caller has opened. It becomes another number here, so that no command inherits it, and the
  // first is closed unless it is standard input, output or error.
  [[nodiscard]] static Result<Output> adopt(int fd);

  // How people know it.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  // A file that ended within a line when it was opened: a run before has found the disk full, or was killed.
  [[nodiscard]] bool began_within_line() const { return within_line_; }

  // Where threads share a table of descriptors, every system call of each counts its descriptor's users. The
  // calling thread gets a table of its own, with this and standard error in it; on a kernel without that call
  // (before 5.9) it does without. What the program closes, such as its --ready-fd, is then closed indeed.
  void leave_other_descriptors() const;

  enum class Outcome : std::uint8_t {
    wrote,    // some of it at least
    waits,    // the reader is slow: again, at once
    no_room,  // the disk is full: again, later
    gone,     // nothing can be written any more: `error` says why
  };
  struct Written {
    Outcome outcome = Outcome::wrote;
    std::size_t bytes = 0;
    int error = 0;
  };
  // Writes what can be written of whole lines; waits for `patience_ms` at most where the kernel tells when
  // there is room.
  [[nodiscard]] Written write(Bytes lines, int patience_ms) const;

 private:
  Output(UniqueFd fd, std::string name, bool is_file);

  UniqueFd fd_;
  std::string name_;
  bool is_file_;  // a regular one
  bool within_line_ = false;
};

}  // namespace sf::flowlog
