// The name of an instance of a test that is parameterized by IP version: true for IPv4.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace sf {

inline std::string version_name(const testing::TestParamInfo<bool>& info) {
  return info.param ? "v4" : "v6";
}

}  // namespace sf
