#include "cli/top_chooser.hh"

#include <fmt/format.h>

#include <algorithm>

#include "cli/printable.hh"

namespace sf::cli {

void TopChooser::on_key(const Key& key) {
  const bool up = key.kind == Key::Kind::up || key.character == 'k';
  const bool down = key.kind == Key::Kind::down || key.character == 'j';
  if (up && at_ > 0) --at_;
  if (down && at_ + 1 < instances_.size()) ++at_;
  if (key.kind == Key::Kind::enter) chosen_ = at_;
  if (key.character == 'q') quit();
}

std::vector<ScreenLine> TopChooser::lines(unsigned rows, unsigned columns) {
  std::vector<ScreenLine> lines{{"Which instance?", Look::title}};
  const std::size_t room = rows > 2 ? rows - 2 : 0;
  const std::size_t first = at_ >= room && room > 0 ? at_ - room + 1 : 0;
  for (std::size_t i = first; i < std::min(first + room, instances_.size()); ++i) {
    const auto& [pid, socket, info] = instances_[i];
    lines.push_back(
        {fmt::format("{:>8}  up {:>7}  {:>6} flows  {:<15}  {}", printable(pid), human_uptime(info.uptime_s),
                     info.flows, printable(info.guest4), printable(info.target)),
         i == at_ ? Look::chosen : Look::plain});
  }
  lines.resize(rows > 0 ? rows - 1 : 0);
  lines.push_back({"enter choose  up/down  q quit", Look::header});
  for (ScreenLine& line : lines) {
    if (width(line.text) > columns) line.text = columns >= 3 ? cut(line.text, columns) : std::string();
  }
  return lines;
}

}  // namespace sf::cli
