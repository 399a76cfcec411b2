// What a command about running instances has to say.
#pragma once

#include <string>

namespace sf::cli {

// For standard output and standard error (whole lines), and the exit status.
struct Outcome {
  std::string out{};
  std::string errors{};
  int status = 0;
};

}  // namespace sf::cli
