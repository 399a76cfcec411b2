#include "setup/kept_file.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>
#include <utility>

namespace sf::setup {

void KeptFile::send(const Channel& channel) const {
  const std::string text = fmt::format("{} {} {}", device, inode, name);
  static_cast<void>(channel.send(MessageKind::keep, text, {folder.get()}));
}

std::optional<KeptFile> KeptFile::from(Message message) {
  KeptFile file;
  std::istringstream words(message.text);
  words >> file.device >> file.inode;
  words.get();
  std::getline(words, file.name, '\0');
  if (message.fds.empty() || file.name.empty()) return std::nullopt;
  file.folder = std::move(message.fds.front());
  return file;
}

std::vector<int> folders_of(const std::vector<KeptFile>& files) {
  std::vector<int> folders;
  folders.reserve(files.size());
  for (const KeptFile& file : files) folders.push_back(file.folder.get());
  return folders;
}

void remove_files(const std::vector<KeptFile>& files) {
  for (const KeptFile& file : files) {
    struct stat now {};
    if (::fstatat(file.folder.get(), file.name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (now.st_dev == file.device && now.st_ino == file.inode) {
      static_cast<void>(::unlinkat(file.folder.get(), file.name.c_str(), 0));
    }
  }
}

}  // namespace sf::setup
