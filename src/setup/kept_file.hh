// Files that go with the program, such as control sockets: whoever outlives it removes them.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "setup/channel.hh"

namespace sf::setup {

struct KeptFile {
  UniqueFd folder;  // where it is, whatever has become of the path
  std::string name;
  dev_t device = 0;
  ino_t inode = 0;

  // As a message (MessageKind::keep) and back.
  void send(const Channel& channel) const;
  [[nodiscard]] static std::optional<KeptFile> from(Message message);
};

// Descriptors of their folders.
[[nodiscard]] std::vector<int> folders_of(const std::vector<KeptFile>& files);

// Each where it is still that one.
void remove_files(const std::vector<KeptFile>& files);

}  // namespace sf::setup
