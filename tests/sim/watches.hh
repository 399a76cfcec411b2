// Leads what passes the stack's door to the connection's TcpWatch.
#pragma once

#include <map>
#include <memory>

#include "sim/sim_link.hh"
#include "sim/tcp_watch.hh"

namespace sf::sim {

class Watches final : public FrameWatch {
 public:
  Watches(World& world, const Plan& plan)
      : world_(world), mtu_(plan.network.mtu), scarce_memory_(plan.stack.scarce_memory()) {}

  void add_flow(Ledger& ledger) {
    watches_.emplace(std::pair{ledger.plan.guest, ledger.plan.server},
                     std::make_unique<TcpWatch>(world_, ledger, mtu_, scarce_memory_));
  }
  void on_received(Bytes frame, const wire::Offload& offload) override;
  void on_sent(Bytes frame, const wire::Offload& offload, bool taken) override;
  void on_turn_end() {
    for (auto& [key, watch] : watches_) watch->on_turn_end();
  }

 private:
  [[nodiscard]] TcpWatch* find(const Endpoint& guest, const Endpoint& server) const {
    const auto it = watches_.find({guest, server});
    return it == watches_.end() ? nullptr : it->second.get();
  }

  World& world_;
  std::uint32_t mtu_;
  bool scarce_memory_;
  std::map<std::pair<Endpoint, Endpoint>, std::unique_ptr<TcpWatch>> watches_;
};

}  // namespace sf::sim
