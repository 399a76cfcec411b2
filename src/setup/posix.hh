// The few things about system calls that every file of this folder needs.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.hh"

namespace sf::setup {

// "Operation not permitted (EPERM)": for people, and for those who search for the name.
[[nodiscard]] std::string reason(int error);

// A whole small file, such as one of /proc. Absent where it cannot be opened or read; errno says why.
[[nodiscard]] std::optional<std::string> read_text(const std::string& path);
// In one write(2), as /proc wants it. 0, or the errno.
[[nodiscard]] int write_text(const std::string& path, const std::string& text);
// Writes all of it, over short writes and interruptions. 0, or the errno.
[[nodiscard]] int write_all(int fd, const std::string& text);

// A descriptor that somebody handed to the program is there.
[[nodiscard]] bool is_open(int fd);
// A standard stream that the program was started without becomes /dev/null, for reading, so that nothing
// which is opened later is taken for one.
void fill_missing_streams();

// open(2) with O_CLOEXEC.
[[nodiscard]] UniqueFd open_fd(const std::string& path, int flags);

}  // namespace sf::setup
