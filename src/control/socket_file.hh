// The file of a Unix socket that listens: made for its owner alone, and removed when it is no longer needed.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::control {

class SocketFile {
 public:
  SocketFile() = default;
  SocketFile(SocketFile&& other) noexcept
      : folder_(std::move(other.folder_)),
        name_(std::exchange(other.name_, {})),
        device_(other.device_),
        inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&&) = delete;
  // Removes the file, if it is still this one.
  ~SocketFile();

  // Binds `socket`, which does not listen yet, to `path`, with mode 0600, in place of a socket that is there
  // already. `keep_answering`: one on which somebody answers is an error, rather than replaced.
  [[nodiscard]] static Result<SocketFile> bind(int socket, const std::string& path, bool keep_answering);

  // The file, where its folder is and which one it is, for somebody else to remove: the destructor no longer
  // does.
  struct Given {
    UniqueFd folder;
    std::string name;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
  };
  [[nodiscard]] Given give() { return {std::move(folder_), std::exchange(name_, {}), device_, inode_}; }

 private:
  UniqueFd folder_;  // of the file: to be removed even where the path leads elsewhere by then
  std::string name_;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

}  // namespace sf::control
