#include "cli/printable.hh"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace sf::cli {
namespace {

constexpr bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

struct Character {
  char32_t code = 0;
  std::size_t length = 0;  // 0: not UTF-8
};

// The first one of `text`, which is not empty (RFC 3629).
Character first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  char32_t code = lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return {};
    code = (code << 6) | (static_cast<unsigned char>(text[i]) & 0x3fU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[length] || code > 0x10ffff || surrogate) return {};
  return {code, length};
}

constexpr bool is_shown(char32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;  // C0, DEL, C1
  if (code >= 0x200b && code <= 0x200f) return false;              // zero width, marks of direction
  if (code >= 0x2028 && code <= 0x202e) return false;              // separators, embeddings, overrides
  if (code >= 0x2060 && code <= 0x206f) return false;              // joiners, isolates
  return code != 0x061c && code != 0xfeff && code < 0xe0000;       // and tags and private use
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [code, length] = first_of(text);
    const std::size_t taken = length == 0 ? 1 : length;
    const char32_t shown = length == 0 ? static_cast<unsigned char>(text[0]) : code;
    if (length != 0 && is_shown(code)) {
      out += text.substr(0, taken);
    } else {
      const auto number = static_cast<std::uint32_t>(shown);
      auto end = std::back_inserter(out);
      if (number < 0x100) {
        fmt::format_to(end, "\\x{:02x}", number);
      } else if (number < 0x10000) {
        fmt::format_to(end, "\\u{:04x}", number);
      } else {
        fmt::format_to(end, "\\U{:08x}", number);
      }
    }
    text.remove_prefix(taken);
  }
  return out;
}

std::size_t width(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += is_continuation(c) ? 0U : 1U;
  return count;
}

std::string cut(std::string_view text, std::size_t most) {
  if (width(text) <= most) return std::string(text);
  std::size_t at = 0;
  for (std::size_t count = 0; at < text.size(); ++at) {
    if (is_continuation(text[at])) continue;
    if (count++ == most - 3) break;
  }
  return std::string(text.substr(0, at)) + "...";
}

}  // namespace sf::cli
