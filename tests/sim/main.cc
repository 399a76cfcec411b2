// The simulator's entry: GoogleTest's options and the ones of options.hh.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "sim/options.hh"

namespace sf::sim {
namespace {

// False where `argument` is not "NAME=number".
bool read_number(std::string_view argument, std::string_view name, std::uint64_t& value) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  const auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), value);
  return error == std::errc() && end == argument.data() + argument.size();
}

void read_environment(const char* name, std::uint64_t& value) {
  if (const char* text = std::getenv(name); text != nullptr) read_number(text, "", value);
}

int usage(const char* wrong) {
  fmt::print(stderr,
             "simulator: {} is not an option: --seed=N, --seeds=N, --first=N, --quiet, or one of --gtest_*\n",
             wrong);
  return 2;
}

}  // namespace

Options& options() {
  static Options instance;
  return instance;
}

}  // namespace sf::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  sf::sim::Options& options = sf::sim::options();
  sf::sim::read_environment("SIM_SEEDS", options.seeds);
  sf::sim::read_environment("SIM_FIRST", options.first);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    std::uint64_t seed = 0;
    if (sf::sim::read_number(argument, "--seed=", seed)) {
      options.seed = seed;
    } else if (argument == "--quiet") {
      options.quiet = true;
    } else if (!sf::sim::read_number(argument, "--seeds=", options.seeds) &&
               !sf::sim::read_number(argument, "--first=", options.first)) {
      return sf::sim::usage(argv[i]);
    }
  }
  if (options.seed) testing::GTEST_FLAG(filter) = "Simulator.Seeds";
  return RUN_ALL_TESTS();
}
