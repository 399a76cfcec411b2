#include "sim/sim_link.hh"

#include <algorithm>
#include <utility>

#include "sim/big_frames.hh"

namespace sf::sim {
namespace {

// A TAP's queue is 500 to 1000 frames long.
constexpr std::size_t kQueueLimit = 1000;

}  // namespace

link::Status SimLink::receive(MutBytes buffer, link::Frame& frame) {
  if (gone_) return link::Status::gone;
  if (buffer.size() < link::kMaxFrame) world_.violation("buffer", "receive() into {} bytes", buffer.size());
  if (to_stack_.empty()) return link::Status::empty;
  const Frame next = std::move(to_stack_.front());
  to_stack_.pop_front();
  ++activity_;
  std::copy(next.bytes.begin(), next.bytes.end(), buffer.begin());
  frame.bytes = buffer.first(next.bytes.size());
  frame.offload = next.offload;
  trace(Direction::from_guest, next, "");
  watch_.on_received(next.bytes, next.offload);
  return link::Status::ok;
}

link::Status SimLink::send(std::span<const Bytes> parts, const wire::Offload& offload) {
  if (gone_) return link::Status::gone;
  Frame frame;
  if (parts.size() > kMaxParts) world_.violation("frame", "{} parts in one send()", parts.size());
  for (const Bytes& part : parts) frame.bytes.insert(frame.bytes.end(), part.begin(), part.end());
  frame.offload = offload;
  const bool taken = !fault(plan_.drop_send);
  ++activity_;
  if (!is_big(frame.bytes))
    return take_from_stack(std::move(frame), taken) ? link::Status::ok : link::Status::dropped;
  auto pieces = split_big(frame);
  const auto* wrong = std::get_if<const char*>(&pieces);
  if (wrong != nullptr || !plan_.features.big_tcp) {
    world_.violation("offload", "above 64 KiB: {}",
                     wrong != nullptr ? *wrong : "the device does not take it");
    return link::Status::dropped;
  }
  // A device refuses it as a whole.
  if (!taken) return link::Status::dropped;
  for (Frame& piece : std::get<std::vector<Frame>>(pieces)) take_from_stack(std::move(piece), true);
  return link::Status::ok;
}

bool SimLink::take_from_stack(Frame frame, bool taken) {
  const wire::Offload offload = frame.offload;
  if (const char* wrong = offload_fault(frame.bytes, offload); wrong != nullptr) {
    world_.violation("offload", "{}: {}", wrong, describe_frame(frame.bytes));
    return false;
  }
  const link::Features& features = plan_.features;
  if ((offload.checksum_needed && !features.checksum) ||
      (offload.gso == wire::GsoType::udp && !features.udp_gso) ||
      (offload.gso == wire::GsoType::tcp4 && !features.tcp4_gso) ||
      (offload.gso == wire::GsoType::tcp6 && !features.tcp6_gso)) {
    world_.violation("offload", "asks for what the device does not have: {}", describe_frame(frame.bytes));
    return false;
  }
  trace(Direction::to_guest, frame, taken ? "" : "refused by the device");
  watch_.on_sent(frame.bytes, offload, taken);
  if (!taken) return false;
  if (plan_.deliver_gso_whole) {
    towards_guest(std::move(frame));
  } else {
    for (Frame& piece : to_wire_frames(std::move(frame))) towards_guest(std::move(piece));
  }
  return true;
}

void SimLink::disappear() {
  gone_ = true;
  to_stack_.clear();
  edge_ = true;
  world_.note("the link is gone");
}

// Frames keep their order but for those that a fault lets the others overtake.
Duration SimLink::draw_delay(Time& last) {
  const bool late = fault(plan_.reorder);
  Time when = world_.now() + plan_.delay + world_.random().duration(Duration{0}, plan_.jitter);
  if (late) return when - world_.now() + world_.random().duration(Duration{0}, plan_.reorder_delay);
  when = std::max(when, last);
  last = when;
  return when - world_.now();
}

// Flips one bit behind the IP header, where a checksum covers it. Frames whose checksum is left to the link
// cannot be damaged in a way that anyone could notice, and so they are not.
bool SimLink::damage(Frame& frame) {
  if (frame.offload.checksum_needed || frame.offload.checksum_valid) return false;
  const auto parsed = parse_frame(frame.bytes);
  if (!parsed || parsed->ip.payload.size() < 8 || parsed->ip.fragment) return false;
  if (parsed->ip.protocol == 17 && load_be16(&parsed->ip.payload[6]) == 0) return false;
  const std::size_t at = parsed->transport_offset + world_.random().below(parsed->ip.payload.size());
  frame.bytes[at] = static_cast<std::uint8_t>(frame.bytes[at] ^ (1U << world_.random().below(8)));
  return true;
}

void SimLink::from_guest(Frame frame) {
  if (gone_) return;
  if (fault(plan_.loss)) {
    trace(Direction::from_guest, frame, "lost");
    return;
  }
  if (fault(plan_.corrupt) && damage(frame)) trace(Direction::from_guest, frame, "damaged");
  const int copies = fault(plan_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    world_.after(draw_delay(last_to_stack_), [this, frame]() mutable { deliver_to_stack(std::move(frame)); });
  }
}

void SimLink::deliver_to_stack(Frame frame) {
  if (to_stack_.size() >= kQueueLimit) faulty_ = true;
  if (gone_ || to_stack_.size() >= kQueueLimit) return;
  to_stack_.push_back(std::move(frame));
  edge_ = true;
}

void SimLink::towards_guest(Frame frame) {
  if (fault(plan_.loss)) {
    trace(Direction::to_guest, frame, "lost");
    return;
  }
  const bool damaged = fault(plan_.corrupt) && damage(frame);
  if (damaged) trace(Direction::to_guest, frame, "damaged");
  const int copies = fault(plan_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    world_.after(draw_delay(last_to_guest_),
                 [this, frame, damaged]() mutable { guest_(std::move(frame), damaged); });
  }
}

void SimLink::trace(Direction direction, const Frame& frame, const char* fate) {
  if (world_.trace() != nullptr)
    world_.trace()->frame(world_.now(), direction, frame.bytes, frame.offload, fate);
}

}  // namespace sf::sim
