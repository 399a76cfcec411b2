// The first page of `top` where several instances are running: which one?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/tables.hh"
#include "cli/top_page.hh"

namespace sf::cli {

class TopChooser final : public TopPage {
 public:
  explicit TopChooser(std::vector<ListedInstance> instances) : instances_(std::move(instances)) {}

  void on_key(const Key& key) override;
  [[nodiscard]] std::vector<ScreenLine> lines(unsigned rows, unsigned columns) override;
  [[nodiscard]] const std::optional<std::size_t>& chosen() const { return chosen_; }

 private:
  std::vector<ListedInstance> instances_;
  std::size_t at_ = 0;
  std::optional<std::size_t> chosen_;
};

}  // namespace sf::cli
