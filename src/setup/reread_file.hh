// A file that is read again later, when this process may see no other files any more (sandbox.hh).
#pragma once

#include <string>

#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

class RereadFile {
 public:
  // Keeps the file's directory open, so that a file that has replaced this one by rename is the one that is
  // read.
  [[nodiscard]] static Result<RereadFile> open(const std::string& path);
  // All of it, up to `most` bytes. The Error names the path.
  [[nodiscard]] Result<std::string> read(std::size_t most) const;
  // For a process that may open nothing any more: from now on this is the file that has the name now. Changes
  // in place are seen, another file in its place is not. Lets go of the directory.
  [[nodiscard]] Result<void> hold();
  // What it has open; for whoever closes the rest.
  [[nodiscard]] int fd() const { return held_ ? held_.get() : directory_.get(); }

 private:
  RereadFile(std::string path, UniqueFd directory, std::string name)
      : path_(std::move(path)), directory_(std::move(directory)), name_(std::move(name)) {}

  std::string path_;
  [[nodiscard]] Result<UniqueFd> open_now() const;

  UniqueFd directory_;
  UniqueFd held_;
  std::string name_;
};

}  // namespace sf::setup
