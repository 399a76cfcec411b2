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
  // For the system call filter.
  [[nodiscard]] int directory() const { return directory_.get(); }

 private:
  RereadFile(std::string path, UniqueFd directory, std::string name)
      : path_(std::move(path)), directory_(std::move(directory)), name_(std::move(name)) {}

  std::string path_;
  UniqueFd directory_;
  std::string name_;
};

}  // namespace sf::setup
