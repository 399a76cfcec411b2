// Several shards as one stack: frames of the guest's come to whichever queue, as a kernel might choose at its
// worst.
#include <fmt/core.h>

#include <algorithm>
#include <deque>

#include "engine/shard.hh"
#include "sim/pass_through.hh"
#include "sim/random.hh"
#include "sim/simulation.hh"

namespace sf::sim {
namespace {

// Which shard an event is for, in bits of its token that shards leave clear.
constexpr unsigned kIndexShift = 59;
constexpr int kFramesPerTurn = 32;  // as many as a shard takes

// One queue of the device.
class Queue final : public PassLink {
 public:
  using PassLink::PassLink;
  [[nodiscard]] link::Status receive(MutBytes buffer, link::Frame& frame) override {
    if (frames_.empty()) return gone ? link::Status::gone : link::Status::empty;
    const auto [bytes, offload] = std::move(frames_.front());
    frames_.pop_front();
    std::ranges::copy(bytes, buffer.begin());
    frame = {buffer.first(bytes.size()), offload};
    return link::Status::ok;
  }
  void add(const link::Frame& frame) {
    frames_.emplace_back(std::vector(frame.bytes.begin(), frame.bytes.end()), frame.offload);
  }
  bool gone = false;

 private:
  std::deque<std::pair<std::vector<std::uint8_t>, wire::Offload>> frames_;
};

class OwnHost final : public PassHost {
 public:
  OwnHost(host::Host& real, unsigned index) : PassHost(real), index_(index) {}
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> connect_stream(const Endpoint& to,
                                                                             host::Token token) override {
    return real_.connect_stream(to, marked(token));
  }
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> open_datagram(host::DatagramKind kind, bool v4,
                                                                            host::Token token) override {
    return real_.open_datagram(kind, v4, marked(token));
  }

 private:
  [[nodiscard]] host::Token marked(host::Token token) const {
    return token | (host::Token{index_} << kIndexShift);
  }

  unsigned index_;
};

class ManyShards final : public host::Reactor {
 public:
  ManyShards(link::Link& link, host::Host& host, const Plan& plan, unsigned count)
      : link_(link),
        random_(plan.seed + 77),
        log_(LogLevel::error, [](LogLevel, std::string_view line) { fmt::print(stderr, "{}\n", line); }) {
    group_.owners = engine::Owners(count, {mix(plan.seed + 2), mix(plan.seed + 3)});
    for (unsigned i = 0; i < count; ++i) {
      one_.push_back(std::make_unique<One>(link, host, i));
      group_.mailboxes.push_back(&one_.back()->mailbox);
    }
    for (unsigned i = 0; i < count; ++i) {
      engine::ShardConfig config;
      config.network = plan.network;
      config.key = {mix(plan.seed), mix(plan.seed + 10 + i)};
      config.limits.half_open = plan.stack.half_open;
      config.limits.pieces = plan.stack.pieces;
      config.place = {&group_, i};
      one_[i]->shard = std::make_unique<engine::Shard>(config, one_[i]->queue, one_[i]->host, log_);
    }
  }

  void on_link_readable(Time) override { readable_ = true; }
  void on_socket_event(host::Token token, host::Readiness readiness, Time now) override {
    constexpr host::Token kMask = (host::Token{1} << kIndexShift) - 1;
    one_[token >> kIndexShift]->shard->on_socket_event(token & kMask, readiness, now);
  }
  // What is received in one turn comes by one queue, and that shard's turn is the first: the simulator
  // expects an ACK to be for all that the stack has received, and a frame on its way between two shards would
  // not be in it.
  [[nodiscard]] Time end_turn(Time now) override {
    const std::size_t source = random_.below(one_.size());
    if (readable_) receive(*one_[source], now);
    Time deadline = std::min(take_turn(*one_[source], now), readable_ ? now : kNever);
    for (const auto& one : one_) {
      if (one != one_[source]) deadline = std::min(deadline, take_turn(*one, now));
    }
    for (const auto& one : one_) {
      if (one->woken) deadline = now;
    }
    return deadline;
  }
  [[nodiscard]] bool alive() const override {
    return std::ranges::all_of(one_, [](const auto& one) { return one->shard->alive(); });
  }
  [[nodiscard]] std::size_t flows() const {
    std::size_t sum = 0;
    for (const auto& one : one_) sum += one->shard->flow_count();
    return sum;
  }
  [[nodiscard]] std::size_t pieces() const {
    std::size_t sum = 0;
    for (const auto& one : one_) sum += one->shard->stats().pieces_in_use;
    return sum;
  }

 private:
  struct One {
    One(link::Link& link, host::Host& real, unsigned index) : queue(link), host(real, index) {}
    Queue queue;
    OwnHost host;
    bool woken = false;
    engine::Mailbox mailbox{[this] { woken = true; }};
    std::unique_ptr<engine::Shard> shard;
  };

  [[nodiscard]] static Time take_turn(One& one, Time now) {
    if (std::exchange(one.woken, false)) one.shard->on_mail();
    return one.shard->end_turn(now);
  }
  void receive(One& one, Time now) {
    for (int i = 0; i < kFramesPerTurn && readable_; ++i) {
      link::Frame frame;
      const link::Status status = link_.receive(buffer_, frame);
      if (status == link::Status::ok) one.queue.add(frame);
      if (status == link::Status::ok || status == link::Status::dropped) continue;
      readable_ = false;
      one.queue.gone = status == link::Status::gone;
    }
    one.shard->on_link_readable(now);
  }

  link::Link& link_;
  Random random_;
  Log log_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(link::kMaxFrame);
  engine::Group group_;
  std::vector<std::unique_ptr<One>> one_;
  bool readable_ = true;
};

}  // namespace

Stack make_shards(link::Link& link, host::Host& host, const Plan& plan) {
  auto reactor = std::make_unique<ManyShards>(link, host, plan, 2 + static_cast<unsigned>(plan.seed % 3));
  const ManyShards& shards = *reactor;
  return {.reactor = std::move(reactor),
          .flows = [&shards] { return shards.flows(); },
          .memory_in_use = [&shards] { return shards.pieces(); }};
}

}  // namespace sf::sim
