// Notices the end of what a namespace was named by: a process, or a file.
//
// Needed where the TAP's own descriptor keeps the namespace alive (tap.hh), so that its end can never be
// seen. The end of the process that was named counts then, and other processes in the namespace do not.
#pragma once

#include <string>

#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

class TargetEnd {
 public:
  TargetEnd() = default;
  // `target` as for open_target() (namespaces.hh). A process is watched by a pidfd, the one in /proc/PID/...
  // as well; any other file by inotify(7) on its folder: that it is removed or moved, which is how namespaces
  // are deleted. Merely unmounting it is not noticed.
  [[nodiscard]] static Result<TargetEnd> watch(const std::string& target);

  // Readable where has_ended() may have changed.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Takes what fd() has.
  [[nodiscard]] bool has_ended();

 private:
  UniqueFd fd_;
  std::string file_;  // its name in the folder; empty: fd_ is a pidfd
};

}  // namespace sf::setup
