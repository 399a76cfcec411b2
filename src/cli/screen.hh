// Lines to what a terminal has to be sent (ECMA-48): of a screen that is there already, what has changed
// alone.
#pragma once

#include <string>
#include <vector>

#include "cli/top_page.hh"

namespace sf::cli {

class Screen {
 public:
  explicit Screen(bool colour) : colour_(colour) {}

  [[nodiscard]] std::string draw(std::vector<ScreenLine> lines);
  // What the terminal shows is not known any more.
  void forget() { known_ = false; }

 private:
  [[nodiscard]] const char* look(Look look) const;

  bool colour_;
  bool known_ = false;
  std::vector<ScreenLine> shown_;
};

}  // namespace sf::cli
