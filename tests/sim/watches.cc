#include "sim/watches.hh"

namespace sf::sim {

void Watches::on_received(Bytes frame, const wire::Offload& offload) {
  const auto parsed = parse_frame(frame);
  if (!parsed || !parsed->tcp) return;
  TcpWatch* const watch = find({parsed->ip.source, parsed->tcp->source_port},
                               {parsed->ip.destination, parsed->tcp->destination_port});
  if (watch == nullptr) return;
  // What arrived damaged has not arrived.
  if (!offload.checksum_needed && !offload.checksum_valid &&
      !wire::verify_transport_checksum(parsed->ip.source, parsed->ip.destination, parsed->ip.protocol,
                                       parsed->ip.payload)) {
    return;
  }
  watch->on_received(*parsed->tcp);
}

void Watches::on_sent(Bytes frame, const wire::Offload& offload, bool taken) {
  const auto parsed = parse_frame(frame);
  if (!parsed || !parsed->tcp) return;
  TcpWatch* const watch = find({parsed->ip.destination, parsed->tcp->destination_port},
                               {parsed->ip.source, parsed->tcp->source_port});
  if (watch != nullptr) watch->on_sent(*parsed->tcp, offload, taken);
}

}  // namespace sf::sim
