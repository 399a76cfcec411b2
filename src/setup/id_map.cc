#include "setup/id_map.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>

#include "setup/namespaces.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

// The kernel's limit on lines of a map (user_namespaces(7)).
constexpr std::size_t kMaxLines = 340;

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <typename Each>
void for_each_line(std::string_view text, Each each) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    each(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// What differs between users and groups.
struct Kind {
  const char* map;      // the file's name in /proc/PID
  const char* ranges;   // where the ranges stand
  const char* program;  // who may map them
  std::uint32_t own;    // the effective id of this process
};

std::string user_name() {
  const passwd* entry = ::getpwuid(::geteuid());
  return entry != nullptr ? entry->pw_name : fmt::format("{}", ::geteuid());
}

// Runs one of the set-uid programs. An empty string, or what it wrote about its failure.
std::string run_map_program(const Kind& kind, pid_t child, const std::vector<IdMapLine>& lines) {
  std::vector<std::string> words{kind.program, fmt::format("{}", child)};
  for (const IdMapLine& line : lines) {
    for (const std::uint32_t n : {line.inside, line.outside, line.count})
      words.push_back(fmt::format("{}", n));
  }
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return reason(errno);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, kind.program, &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  write_end.reset();
  if (error == ENOENT) return fmt::format("{} is not installed; install the package uidmap", kind.program);
  if (error != 0) return fmt::format("{} cannot be run: {}", kind.program, reason(error));

  std::string said(512, '\0');
  const ssize_t got = ::read(read_end.get(), said.data(), said.size());
  said.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::replace(said.begin(), said.end(), '\n', ' ');
  while (!said.empty() && said.back() == ' ') said.pop_back();
  return said.empty() ? fmt::format("{} failed", kind.program) : said;
}

int write_map(const Kind& kind, pid_t child, const std::vector<IdMapLine>& lines) {
  std::string text;
  for (const IdMapLine& line : lines)
    text += fmt::format("{} {} {}\n", line.inside, line.outside, line.count);
  return write_text(fmt::format("/proc/{}/{}", child, kind.map), text);
}

// A map that needs no other program: all ids of root's, else the user alone.
Result<void> map_without_ranges(const Kind& kind, pid_t child, bool groups) {
  if (::geteuid() == 0) {
    const auto own_map = read_text(fmt::format("/proc/self/{}", kind.map));
    if (own_map && write_map(kind, child, identity_of(parse_id_map(*own_map))) == 0) return {};
  }
  // Without privileges a group map needs setgroups(2) to be given up first (user_namespaces(7)). An error
  // shows in the next write.
  if (groups) static_cast<void>(write_text(fmt::format("/proc/{}/setgroups", child), "deny"));
  const int error = write_map(kind, child, {{0, kind.own, 1}});
  if (error == 0) return {};
  const UserNamespaceLimits limits = read_user_namespace_limits();
  if (error == EPERM && limits.apparmor_restrict.value_or(0) != 0) {
    return tl::unexpected(explain_user_namespace(error, limits));
  }
  return fail(
      "cannot write the {} of the new user namespace: {}; check that this user may make user namespaces "
      "with: unshare -Ur true",
      kind.map, reason(error));
}

// The ids of one kind. Returns whether ranges are mapped, or why nothing could be; `single` asks for none.
Result<bool> write_one(const Kind& kind, pid_t child, bool groups, bool single, const std::string& user,
                       const Log& log) {
  if (single) {
    if (auto mapped = map_without_ranges(kind, child, groups); !mapped) return tl::unexpected(mapped.error());
    return false;
  }
  const auto text = read_text(kind.ranges);
  const auto own_map = read_text(fmt::format("/proc/self/{}", kind.map));
  const std::vector<IdRange> ranges = existing_ranges(parse_sub_ids(text.value_or(""), user, ::geteuid()),
                                                      parse_id_map(own_map.value_or("")));
  if (!ranges.empty()) {
    const std::string failure = run_map_program(kind, child, map_with_ranges(kind.own, ranges));
    if (failure.empty()) return true;
    log.warning("cannot map the ranges of {}: {}; going on with {} alone", kind.ranges, failure,
                ::geteuid() == 0 ? "root's own ids" : "the user's own id");
  } else if (!groups && ::geteuid() != 0) {
    log.info(
        "{} has no range for {}: only the user's own ids are mapped inside (usermod --add-subuids adds one)",
        kind.ranges, user);
  }
  return write_one(kind, child, groups, true, user, log);
}

}  // namespace

std::vector<IdRange> parse_sub_ids(std::string_view text, std::string_view user, std::uint32_t uid) {
  const std::string uid_text = fmt::format("{}", uid);
  std::vector<IdRange> ranges;
  for_each_line(text, [&](std::string_view line) {
    const std::size_t first_colon = line.find(':');
    if (first_colon == std::string_view::npos) return;
    const std::size_t second_colon = line.find(':', first_colon + 1);
    if (second_colon == std::string_view::npos) return;
    const std::string_view name = line.substr(0, first_colon);
    if (name != user && name != uid_text) return;
    const auto first = number(line.substr(first_colon + 1, second_colon - first_colon - 1));
    const auto count = number(line.substr(second_colon + 1));
    if (!first || !count || *count == 0 || *count > std::numeric_limits<std::uint32_t>::max() - *first)
      return;
    const IdRange range{*first, *count};
    if (std::find(ranges.begin(), ranges.end(), range) == ranges.end()) ranges.push_back(range);
  });
  return ranges;
}

std::vector<IdMapLine> map_with_ranges(std::uint32_t own, const std::vector<IdRange>& ranges) {
  std::vector<IdMapLine> lines{{0, own, 1}};
  std::uint32_t inside = 1;
  for (const IdRange& range : ranges) {
    if (lines.size() == kMaxLines || range.count > std::numeric_limits<std::uint32_t>::max() - inside) break;
    lines.push_back({inside, range.first, range.count});
    inside += range.count;
  }
  return lines;
}

std::vector<IdMapLine> parse_id_map(std::string_view text) {
  std::vector<IdMapLine> lines;
  for_each_line(text, [&](std::string_view line) {
    std::array<std::uint32_t, 3> fields{};
    std::size_t have = 0;
    while (have < fields.size()) {
      line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
      const std::size_t end = std::min(line.find(' '), line.size());
      const auto value = number(line.substr(0, end));
      if (!value) return;
      fields[have++] = *value;
      line.remove_prefix(end);
    }
    lines.push_back({fields[0], fields[1], fields[2]});
  });
  return lines;
}

std::vector<IdMapLine> identity_of(const std::vector<IdMapLine>& own_map) {
  std::vector<IdMapLine> lines = own_map;
  for (IdMapLine& line : lines) line.outside = line.inside;
  return lines;
}

std::vector<IdRange> existing_ranges(const std::vector<IdRange>& ranges,
                                     const std::vector<IdMapLine>& own_map) {
  std::vector<IdRange> existing;
  for (const IdRange& range : ranges) {
    const bool exists = std::any_of(own_map.begin(), own_map.end(), [&](const IdMapLine& line) {
      return range.first >= line.inside &&
             std::uint64_t{range.first} + range.count <= std::uint64_t{line.inside} + line.count;
    });
    if (exists) existing.push_back(range);
  }
  return existing;
}

Result<void> write_id_maps(pid_t child, const Log& log) {
  const std::string user = user_name();
  const auto users =
      write_one({"uid_map", "/etc/subuid", "newuidmap", ::geteuid()}, child, false, false, user, log);
  if (!users) return tl::unexpected(users.error());
  // What keeps the users' ranges out (and was said) keeps the groups' out as well.
  const auto groups =
      write_one({"gid_map", "/etc/subgid", "newgidmap", ::getegid()}, child, true, !*users, user, log);
  if (!groups) return tl::unexpected(groups.error());
  return {};
}

}  // namespace sf::setup
