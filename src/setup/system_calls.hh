// What the processes of this program call once they are confined, as far as setup/ knows.
#pragma once

#include <vector>

#include "base/allowed_call.hh"

namespace sf::setup {

// The C and C++ libraries, the kernel's own, and what a sanitizer needs for its report. In every list.
[[nodiscard]] AllowedCalls library_calls();

// The program's: signals, the log, --ready-fd, the channels to its child and its keeper.
[[nodiscard]] AllowedCalls program_calls();

// keeper.hh, beside the next two.
[[nodiscard]] AllowedCalls keeper_calls();

// kept_file.hh, from folders with these descriptors.
[[nodiscard]] AllowedCalls removing_calls(const std::vector<int>& folders);

// guest_helper.hh, in the guest's namespace or with visits to it.
[[nodiscard]] AllowedCalls helper_calls(bool visits);

// namespaces.hh: MountedNamespace::unmount().
[[nodiscard]] AllowedCalls unmounting_calls();

// guest_init.hh, beside the former: signals, children, resolv.conf.
[[nodiscard]] AllowedCalls init_calls();

}  // namespace sf::setup
