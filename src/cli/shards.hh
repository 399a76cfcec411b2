// All shards of this process, as seen from the thread that answers the control socket.
#pragma once

#include <functional>

#include "engine/shard.hh"

namespace sf::cli {

class Shards {
 public:
  Shards() = default;
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;
  virtual ~Shards() = default;

  [[nodiscard]] virtual unsigned count() const = 0;
  // Which one has the guest's UDP port.
  [[nodiscard]] virtual unsigned udp_owner(std::uint16_t guest_port) const = 0;

  // Runs `task` on the thread of a shard, in one of its turns, and waits for it; a shard that has ended is
  // left out. All at the same time: `task` may touch what is its index's alone.
  using Task = std::function<void(unsigned index, engine::Shard& shard)>;
  virtual void visit_all(const Task& task) = 0;
  virtual void visit(unsigned index, const std::function<void(engine::Shard&)>& task) = 0;
};

// One that is this thread's own.
class OneShard final : public Shards {
 public:
  explicit OneShard(engine::Shard& shard) : shard_(shard) {}

  [[nodiscard]] unsigned count() const override { return 1; }
  [[nodiscard]] unsigned udp_owner(std::uint16_t) const override { return 0; }
  void visit_all(const Task& task) override { task(0, shard_); }
  void visit(unsigned, const std::function<void(engine::Shard&)>& task) override { task(shard_); }

 private:
  engine::Shard& shard_;
};

}  // namespace sf::cli
