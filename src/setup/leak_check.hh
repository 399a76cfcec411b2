// For sanitized builds only: LeakSanitizer looks for leaks at the end of the process, by tracing it from a
// clone with the help of /proc. None of that is to be had in confinement.
#pragma once

namespace sf::setup {

// From here on the process ends without looking. Does nothing in other builds.
void end_leak_check();

}  // namespace sf::setup
