#include "sim/planted.hh"

#include <algorithm>

namespace sf::sim {
namespace {

// The frame with its TCP segment edited; as it was where there is none.
FrameBytes edited(Bytes frame, const EditLink::Edit& edit) {
  FrameBytes bytes(frame.begin(), frame.end());
  const auto parsed = parse_frame(bytes);
  if (!edit || !parsed || !parsed->tcp) return bytes;
  wire::TcpSegment segment = *parsed->tcp;
  FrameBytes payload(segment.payload.begin(), segment.payload.end());
  edit(segment, payload);
  const Addressing to{parsed->ethernet.source, parsed->ethernet.destination, parsed->ip.source,
                      parsed->ip.destination};
  return build_tcp(to, segment, payload, false, 0).bytes;
}

}  // namespace

link::Status EditLink::receive(MutBytes buffer, link::Frame& frame) {
  const link::Status status = real_.receive(buffer, frame);
  if (status != link::Status::ok) return status;
  const FrameBytes bytes = edited(frame.bytes, from_guest_);
  std::copy(bytes.begin(), bytes.end(), buffer.begin());
  frame.bytes = buffer.first(bytes.size());
  return status;
}

link::Status EditLink::send(std::span<const Bytes> parts, const wire::Offload& offload) {
  FrameBytes frame;
  for (const Bytes& part : parts) frame.insert(frame.end(), part.begin(), part.end());
  const FrameBytes bytes = edited(frame, to_guest_);
  const Bytes whole[] = {bytes};
  return real_.send(whole, offload);
}

Sabotage edit_to_guest(EditLink::Edit edit) {
  Sabotage sabotage;
  sabotage.link = [edit](World&, link::Link& real) {
    return std::make_unique<EditLink>(real, edit, nullptr);
  };
  return sabotage;
}

Sabotage edit_from_guest(EditLink::Edit edit) {
  Sabotage sabotage;
  sabotage.link = [edit](World&, link::Link& real) {
    return std::make_unique<EditLink>(real, nullptr, edit);
  };
  return sabotage;
}

std::set<std::string> broken_rules(const Plan& plan, const Sabotage& sabotage) {
  std::set<std::string> rules;
  for (const Violation& violation : run(plan, make_shard, nullptr, sabotage).violations)
    rules.insert(violation.rule);
  return rules;
}

}  // namespace sf::sim
