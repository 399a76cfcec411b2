// The main page of `top`: one instance, its throughput, what it has dropped and refused, its flows.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <string>

#include "cli/flow_rates.hh"
#include "cli/replies.hh"
#include "cli/top_page.hh"

namespace sf::cli {

class TopFlows final : public TopPage {
 public:
  enum class Sort : std::uint8_t { rate, bytes, rtt, remote, guest, state, count_ };
  static constexpr std::size_t kHistory = 512;  // of throughput

  TopFlows(std::string name, const InfoReply& info, bool utf8);

  void on_key(const Key& key) override;
  [[nodiscard]] std::vector<ScreenLine> lines(unsigned rows, unsigned columns) override;

  // What the instance has answered; rates are those since the last answer.
  void update(FlowsReply flows, const StatisticsReply& statistics);
  // Instead of the keys, until the next answer.
  void complain(std::string why) { complaint_ = std::move(why); }

 private:
  static constexpr std::size_t kColumns = 10;
  using Cells = std::array<std::string, kColumns>;

  void sort();
  [[nodiscard]] std::vector<ScreenLine> head(unsigned columns) const;
  [[nodiscard]] ScreenLine throughput(bool from_guest, unsigned columns) const;
  [[nodiscard]] ScreenLine last_line(std::size_t first, std::size_t shown, unsigned columns) const;
  [[nodiscard]] static Cells cells_of(const FlowRow& row);
  void scroll_by(std::ptrdiff_t rows);

  std::string name_;
  std::string about_;
  bool utf8_;
  std::optional<FlowsReply> before_;
  StatisticsReply statistics_;
  std::uint64_t uptime_s_ = 0;
  FlowRows flows_;
  std::deque<std::uint64_t> from_guest_;  // bytes per second
  std::deque<std::uint64_t> to_guest_;
  Sort sort_ = Sort::rate;
  bool reversed_ = false;
  bool paused_ = false;
  std::size_t first_ = 0;  // row that is shown
  std::size_t page_ = 10;  // rows that were shown last
  std::string complaint_;
};

}  // namespace sf::cli
