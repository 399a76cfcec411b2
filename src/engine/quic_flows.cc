#include "engine/quic_flows.hh"

#include <algorithm>
#include <utility>

namespace sf::engine {
namespace {

using policy::Protocol;
using wire::ServerName;

// A record of DTLS (RFC 6347 section 4.1): its ClientHello is not looked into. A short header of QUIC that
// looks the same is as rare as a random number of 24 bits.
bool is_dtls(Bytes payload) {
  return payload.size() >= 3 && payload[0] >= 20 && payload[0] <= 26 && payload[1] == 0xfe &&
         (payload[2] == 0xff || payload[2] == 0xfd);
}

// Calls `each` for every datagram in there, until it returns false.
template <typename Each>
bool for_each_datagram(Bytes payload, std::uint16_t segment, Each&& each) {
  do {
    const Bytes one = segment == 0 ? payload : take(payload, segment);
    if (!each(one)) return false;
    payload = drop(payload, one.size());
  } while (!payload.empty());
  return true;
}

}  // namespace

bool QuicFlows::begins_nothing(Bytes payload, std::uint16_t segment) {
  return for_each_datagram(payload, segment, [](Bytes one) {
    return one.empty() || ((one[0] & wire::kQuicLongHeader) == 0 && !is_dtls(one));
  });
}

QuicFlows::Verdict QuicFlows::judge(policy::Gate& gate, const FlowKey& key, const Address& address,
                                    const Datagram& datagram, const udp::Flow* flow, std::string& name,
                                    bool& audited, Time now) {
  if (datagram.segment != 0 && datagram.payload.size() > datagram.segment) {
    // A later one may have what an earlier one waits for. Reading twice changes nothing.
    for_each_datagram(datagram.payload, datagram.segment, [&](Bytes one) {
      static_cast<void>(names_.read(key.guest, key.remote, one, now));
      return true;
    });
  }
  Verdict verdict = Verdict::passes;
  for_each_datagram(datagram.payload, datagram.segment, [&](Bytes one) {
    const bool waits = verdict == Verdict::held || holds(key, now);
    const Verdict this_one = judge_one(gate, key, address, one, flow, waits, name, audited, now);
    if (this_one != Verdict::passes) verdict = this_one;
    return verdict != Verdict::refused;
  });
  if (verdict != Verdict::held || hold(key, datagram, now)) return verdict;
  // As a connection over TCP that is silent about it for as long.
  return gate.admits_server(Protocol::udp, key.remote, address, {ServerName::State::foreign, {}}, &audited)
             ? Verdict::passes
             : Verdict::refused;
}

QuicFlows::Verdict QuicFlows::judge_one(policy::Gate& gate, const FlowKey& key, const Address& address,
                                        Bytes payload, const udp::Flow* flow, bool waits, std::string& name,
                                        bool& audited, Time now) {
  std::optional<ServerName> server = names_.read(key.guest, key.remote, payload, now);
  if (!server) {
    const std::string* known = flow != nullptr ? flow->server_name(key.remote) : nullptr;
    if (!name.empty()) known = &name;  // of a segment before this one
    if (known == nullptr && !is_dtls(payload) && waits) return Verdict::held;
    server = known != nullptr && !is_dtls(payload) ? ServerName{ServerName::State::named, *known}
                                                   : ServerName{ServerName::State::foreign, {}};
  }
  if (server->state == ServerName::State::more) return Verdict::held;
  if (!gate.admits_server(Protocol::udp, key.remote, address, *server, &audited)) return Verdict::refused;
  if (server->state == ServerName::State::named) name = std::move(server->name);
  return Verdict::passes;
}

bool QuicFlows::holds(const FlowKey& key, Time now) const {
  const auto pair = std::ranges::find(held_, key, &Pair::key);
  return pair != held_.end() && now < pair->since + kHeldFor;
}

bool QuicFlows::hold(const FlowKey& key, const Datagram& datagram, Time now) {
  std::erase_if(held_, [now](const Pair& pair) { return now >= pair.since + kHeldFor; });
  auto pair = std::ranges::find(held_, key, &Pair::key);
  const std::size_t size = datagram.packet.whole.size();
  if (size + (pair != held_.end() ? pair->bytes : 0) > kMaxHeld) return false;
  if (pair == held_.end()) {
    if (held_.size() >= kMaxPairs) held_.erase(held_.begin());
    held_.push_back({key, now, 0, {}});
    pair = std::prev(held_.end());
  }
  pair->bytes += size;
  pair->datagrams.push_back({datagram.from,
                             {datagram.packet.whole.begin(), datagram.packet.whole.end()},
                             datagram.segment,
                             datagram.packet.reassembled});
  return true;
}

std::vector<QuicFlows::Held> QuicFlows::take_held(const FlowKey& key, Time now) {
  const auto pair = std::ranges::find(held_, key, &Pair::key);
  if (pair == held_.end()) return {};
  std::vector<Held> datagrams;
  if (now < pair->since + kHeldFor) datagrams = std::move(pair->datagrams);
  held_.erase(pair);
  return datagrams;
}

}  // namespace sf::engine
