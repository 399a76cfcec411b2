// Errors as values. An Error is the one line that a person reads: what was tried, what failed, why, and
// what to do about it.
#pragma once

#include <fmt/core.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace sf::base {

struct Error {
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace sf::base

namespace sf {
using namespace base;
}
