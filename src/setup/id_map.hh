// The user and group ids of a new user namespace.
//
//     inside   outside
//     0        the user
//     1 ...    the user's ranges in /etc/subuid and /etc/subgid, one after the other (newuidmap, newgidmap)
//
// Without ranges, or without those programs: the user alone; for root, all ids that it has now, unchanged.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hh"
#include "base/result.hh"

namespace sf::setup {

struct IdRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const IdRange&) const = default;
};

// One line of /proc/PID/uid_map.
struct IdMapLine {
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 0;
  bool operator==(const IdMapLine&) const = default;
};

// The ranges of one user in the text of /etc/subuid or /etc/subgid (subuid(5)): NAME:FIRST:COUNT lines, where
// NAME is the user's name or uid. Lines that make no sense, and repeated ones, are left out.
[[nodiscard]] std::vector<IdRange> parse_sub_ids(std::string_view text, std::string_view user,
                                                 std::uint32_t uid);

// `own` becomes 0, and the ranges follow from 1 on.
[[nodiscard]] std::vector<IdMapLine> map_with_ranges(std::uint32_t own, const std::vector<IdRange>& ranges);

// The text of a uid_map. Lines that make no sense are left out.
[[nodiscard]] std::vector<IdMapLine> parse_id_map(std::string_view text);

// All ids that `own_map` maps, each to itself.
[[nodiscard]] std::vector<IdMapLine> identity_of(const std::vector<IdMapLine>& own_map);

// Those of `ranges` that exist as a whole in a user namespace with `own_map`: in a nested one, /etc/subuid
// often speaks of ids that are not there.
[[nodiscard]] std::vector<IdRange> existing_ranges(const std::vector<IdRange>& ranges,
                                                   const std::vector<IdMapLine>& own_map);

// Writes both maps of `child`, which has just been cloned into a new user namespace by this process.
[[nodiscard]] Result<void> write_id_maps(pid_t child, const Log& log);

}  // namespace sf::setup
