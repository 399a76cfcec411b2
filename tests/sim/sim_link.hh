// The guest's device: two queues with delay between the guest and the stack under test, and all that can go
// wrong in them. What the watch sees is what the stack really received, and what it really sent, in that
// order.
#pragma once

#include <deque>
#include <functional>

#include "link/link.hh"
#include "sim/frames.hh"
#include "sim/plan.hh"
#include "sim/trace.hh"
#include "sim/world.hh"

namespace sf::sim {

// Sees frames at the stack's own door.
class FrameWatch {
 public:
  FrameWatch() = default;
  FrameWatch(const FrameWatch&) = delete;
  FrameWatch& operator=(const FrameWatch&) = delete;
  virtual ~FrameWatch() = default;

  virtual void on_received(Bytes frame, const wire::Offload& offload) = 0;
  // With `taken` false the device refused the frame, and the stack was told so.
  virtual void on_sent(Bytes frame, const wire::Offload& offload, bool taken) = 0;
};

class SimLink final : public link::Link {
 public:
  // A frame for the guest; `damaged` where the link itself flipped a bit of it.
  using GuestSide = std::function<void(Frame frame, bool damaged)>;

  SimLink(World& world, const LinkPlan& plan, FrameWatch& watch)
      : world_(world), plan_(plan), watch_(watch), faults_end_(world.now() + plan.faults_end) {}
  void set_guest(GuestSide guest) { guest_ = std::move(guest); }

  [[nodiscard]] link::Status receive(MutBytes buffer, link::Frame& frame) override;
  [[nodiscard]] link::Status send(std::span<const Bytes> parts, const wire::Offload& offload) override;
  [[nodiscard]] link::Features features() const override { return plan_.features; }

  // The guest sends.
  void from_guest(Frame frame);
  // True once after frames have come: the edge that wakes the event loop.
  [[nodiscard]] bool take_edge() { return std::exchange(edge_, false); }
  [[nodiscard]] bool has_edge() const { return edge_; }
  // Frames lie in the queue, and no edge will tell of them.
  [[nodiscard]] bool unread() const { return !to_stack_.empty() && !edge_; }
  // A frame was lost or changed, by fault or for want of room.
  [[nodiscard]] bool faulty() const { return faulty_; }
  void disappear();

  // Frames that went in either direction: work that was seen to be done.
  [[nodiscard]] std::uint64_t activity() const { return activity_; }

 private:
  [[nodiscard]] bool fault(double probability) {
    const bool happens = world_.now() < faults_end_ && world_.random().chance(probability);
    faulty_ = faulty_ || happens;
    return happens;
  }
  [[nodiscard]] Duration draw_delay(Time& last);
  void deliver_to_stack(Frame frame);
  // One frame below 64 KiB. False: the device refuses it.
  bool take_from_stack(Frame frame, bool taken);
  void towards_guest(Frame frame);
  bool damage(Frame& frame);
  void trace(Direction direction, const Frame& frame, const char* fate);

  World& world_;
  LinkPlan plan_;
  FrameWatch& watch_;
  GuestSide guest_;
  Time faults_end_;
  std::deque<Frame> to_stack_;
  Time last_to_stack_{};
  Time last_to_guest_{};
  bool edge_ = false;
  bool gone_ = false;
  bool faulty_ = false;
  std::uint64_t activity_ = 0;
};

}  // namespace sf::sim
