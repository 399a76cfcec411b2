#include "cli/top_keys.hh"

#include <array>
#include <optional>
#include <utility>

namespace sf::cli {
namespace {

constexpr char kEscape = '\x1b';
constexpr std::size_t kMaxSequence = 16;

using Kind = Key::Kind;

// What stands between the introducer and the end of a sequence (ECMA-48 section 5.4), and the end.
std::optional<Key> key_of(std::string_view parameters, char end) {
  constexpr std::array<std::pair<char, Kind>, 6> kLetters{{{'A', Kind::up},
                                                           {'B', Kind::down},
                                                           {'H', Kind::home},
                                                           {'F', Kind::end},
                                                           {'I', Kind::page_up},
                                                           {'G', Kind::page_down}}};
  constexpr std::array<std::pair<char, Kind>, 6> kNumbers{{{'1', Kind::home},
                                                           {'7', Kind::home},
                                                           {'4', Kind::end},
                                                           {'8', Kind::end},
                                                           {'5', Kind::page_up},
                                                           {'6', Kind::page_down}}};
  if (end == '~') {
    for (const auto& [number, kind] : kNumbers) {
      if (parameters == std::string_view(&number, 1)) return Key{kind, 0};
    }
    return std::nullopt;
  }
  for (const auto& [letter, kind] : kLetters) {
    if (letter == end && parameters.empty()) return Key{kind, 0};
  }
  return std::nullopt;
}

}  // namespace

std::vector<Key> take_keys(std::string& typed) {
  std::vector<Key> keys;
  std::size_t at = 0;
  while (at < typed.size()) {
    const char first = typed[at];
    if (first == '\r' || first == '\n') {
      keys.push_back({Kind::enter, 0});
      ++at;
      continue;
    }
    if (first != kEscape) {
      if (first >= ' ' && first < '\x7f') keys.push_back({Kind::character, first});
      ++at;
      continue;
    }
    if (at + 1 == typed.size()) break;
    if (typed[at + 1] != '[' && typed[at + 1] != 'O') {
      ++at;  // the escape key, and then another one
      continue;
    }
    std::size_t end = at + 2;
    while (end < typed.size() && typed[end] >= ' ' && typed[end] < '@') ++end;
    if (end == typed.size()) {
      if (end - at > kMaxSequence) at = end;  // that is none
      break;
    }
    if (const auto key = key_of(std::string_view(typed).substr(at + 2, end - at - 2), typed[end]))
      keys.push_back(*key);
    at = end + 1;
  }
  typed.erase(0, at);
  return keys;
}

}  // namespace sf::cli
