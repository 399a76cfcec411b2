#include "setup/resident_memory.hh"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace sf::setup {

ResidentMemory::ResidentMemory()
    : statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      page_(static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) {}

// "size resident shared ...", in pages.
std::optional<std::uint64_t> ResidentMemory::bytes() const {
  std::array<char, 128> text;
  if (!statm_ || ::lseek(statm_.get(), 0, SEEK_SET) != 0) return std::nullopt;
  const ssize_t got = ::read(statm_.get(), text.data(), text.size());
  if (got <= 0) return std::nullopt;
  const char* end = text.data() + got;
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  const auto first = std::from_chars(text.data(), end, size);
  if (first.ec != std::errc{} || first.ptr == end) return std::nullopt;
  if (std::from_chars(first.ptr + 1, end, resident).ec != std::errc{}) return std::nullopt;
  return resident * page_;
}

}  // namespace sf::setup
