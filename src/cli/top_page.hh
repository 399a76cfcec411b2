// A page of `top`: what fills the screen, and what keys do to it. Pure: screen.hh writes it to the terminal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/top_keys.hh"

namespace sf::cli {

enum class Look : std::uint8_t { plain, title, header, from_guest, to_guest, warning, chosen };

struct ScreenLine {
  std::string text;  // printable
  Look look = Look::plain;
  bool operator==(const ScreenLine&) const = default;
};

class TopPage {
 public:
  TopPage() = default;
  TopPage(const TopPage&) = delete;
  TopPage& operator=(const TopPage&) = delete;
  virtual ~TopPage() = default;

  virtual void on_key(const Key& key) = 0;
  // `rows` lines of up to `columns` characters.
  [[nodiscard]] virtual std::vector<ScreenLine> lines(unsigned rows, unsigned columns) = 0;
  [[nodiscard]] bool quits() const { return quits_; }

 protected:
  void quit() { quits_ = true; }

 private:
  bool quits_ = false;
};

}  // namespace sf::cli
