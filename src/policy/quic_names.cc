#include "policy/quic_names.hh"

#include <algorithm>

#include "policy/rule.hh"

namespace sf::policy {
namespace {

using State = wire::ServerName::State;
using wire::QuicFrames;
using wire::QuicPacket;
using wire::QuicPacketType;
using wire::QuicVersion;
using wire::ServerName;

constexpr Duration kForgetInterval = 1s;

}  // namespace

QuicConnection::QuicConnection(QuicVersion version, Bytes id, std::uint64_t serial)
    : id_size_(static_cast<std::uint8_t>(std::min(id.size(), id_.size()))), serial_(serial) {
  std::copy_n(id.begin(), id_size_, id_.begin());
  keys_[static_cast<std::size_t>(version)] = wire::quic_client_keys(version, id);
}

bool QuicConnection::has(Bytes id) const {
  return std::ranges::equal(id, base::take(id_, id_size_));
}

std::optional<QuicFrames> QuicConnection::open(const QuicPacket& packet, MutBytes out) {
  auto& keys = keys_[static_cast<std::size_t>(packet.version)];
  if (!keys) keys = wire::quic_client_keys(packet.version, base::take(id_, id_size_));
  return wire::open_quic_initial(packet, *keys, next_number_, out);
}

void QuicConnection::take(const QuicFrames& frames, Time now) {
  next_number_ = std::max(next_number_, frames.number + 1);
  last_seen_ = now;
  if (name_.state == State::foreign) return;
  const bool good = wire::read_quic_frames(
      frames.frames, [this](std::uint64_t offset, Bytes data) { return take_piece(offset, data); });
  if (!good) {
    name_ = {State::foreign, {}};
    return;
  }
  while (whole_ < known_.size() && known_[whole_]) ++whole_;
  read_hellos();
}

bool QuicConnection::take_piece(std::uint64_t offset, Bytes data) {
  if (offset > kMaxHandshake || data.size() > kMaxHandshake - offset) return false;
  const std::size_t at = offset;
  if (handshake_.size() < at + data.size()) {
    handshake_.resize(at + data.size());
    known_.resize(at + data.size());
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (known_[at + i] && handshake_[at + i] != data[i]) return false;
    handshake_[at + i] = data[i];
    known_[at + i] = true;
  }
  return true;
}

void QuicConnection::read_hellos() {
  while (name_.state != State::foreign) {
    std::size_t size = 0;
    ServerName next = wire::hello_server_name(base::drop(base::take(handshake_, whole_), read_), size);
    if (next.state == State::more) return;
    const bool first = read_ == 0;
    const bool same = next.state == name_.state && normalized_name(next.name) == normalized_name(name_.name);
    if (first || !same) name_ = first ? std::move(next) : ServerName{State::foreign, {}};
    read_ += size;
  }
}

ServerName QuicConnection::name() const {
  // A further hello has begun, and may name another server.
  if (name_.state != State::foreign && handshake_.size() > read_) return {State::more, {}};
  return name_;
}

std::size_t QuicConnection::memory() const {
  return sizeof(QuicConnection) + handshake_.capacity() + known_.capacity() / 8 + name_.name.capacity();
}

std::optional<ServerName> QuicNames::read(const Endpoint& guest, const Endpoint& remote, Bytes datagram,
                                          Time now) {
  const FlowKey pair{guest, remote};
  std::optional<ServerName> found;
  std::optional<Bytes> id;
  std::optional<std::uint64_t> owner;
  wire::QuicPacketReader packets(datagram);
  while (const auto packet = packets.next()) {
    // Servers differ in what they do with several connections' packets in one datagram (RFC 9000 section
    // 12.2).
    const bool same = !id || std::ranges::equal(*id, packet->destination_id);
    id = packet->destination_id;
    if (!same || packet->type == QuicPacketType::retry) return ServerName{State::foreign, {}};
    if (packet->type != QuicPacketType::initial) continue;
    QuicFrames frames;
    QuicConnection* connection = connection_of(pair, *packet, frames, now);
    if (connection == nullptr) return ServerName{State::foreign, {}};
    // Nor does one ID make them one connection's: the keys tell.
    if (owner.value_or(connection->serial()) != connection->serial()) return ServerName{State::foreign, {}};
    owner = connection->serial();
    const std::size_t before = connection->memory();
    connection->take(frames, now);
    memory_ += connection->memory() - before;
    found = connection->name();
  }
  if (packets.rest_is_unreadable()) return ServerName{State::foreign, {}};
  return found;
}

QuicConnection* QuicNames::connection_of(const FlowKey& pair, const QuicPacket& packet, QuicFrames& frames,
                                         Time now) {
  if (buffer_.size() < packet.whole.size()) buffer_.resize(packet.whole.size());
  const auto at = pairs_.find(pair);
  QuicConnection* owner = nullptr;
  bool known = false;
  // AES-GCM lets somebody make a packet that two keys open, to different contents. So all of them are tried.
  for (std::size_t i = 0; at != pairs_.end() && i < at->second.size(); ++i) {
    QuicConnection& connection = at->second[i];
    known = known || connection.has(packet.destination_id);
    if (!connection.open(packet, buffer_)) continue;
    if (owner != nullptr) return nullptr;
    owner = &connection;
  }
  if (!known) {
    QuicConnection fresh(packet.version, packet.destination_id, ++made_);
    if (fresh.open(packet, buffer_)) {
      if (owner != nullptr) return nullptr;
      owner = remember(pair, std::move(fresh), now);
    }
  }
  if (owner == nullptr) return nullptr;
  const auto opened = owner->open(packet, buffer_);
  if (!opened) return nullptr;
  frames = *opened;
  return owner;
}

QuicConnection* QuicNames::remember(const FlowKey& pair, QuicConnection&& fresh, Time now) {
  forget_old(now);
  if (memory_ + fresh.memory() + QuicConnection::kMaxMemory > kMaxMemory) return nullptr;
  std::vector<QuicConnection>& connections = pairs_[pair];
  if (connections.size() >= kMaxConnections) return nullptr;
  memory_ += fresh.memory();
  return &connections.emplace_back(std::move(fresh));
}

void QuicNames::forget_old(Time now) {
  if (now < forgot_ + kForgetInterval) return;
  forgot_ = now;
  for (auto at = pairs_.begin(); at != pairs_.end();) {
    std::erase_if(at->second, [&](const QuicConnection& connection) {
      if (now < connection.last_seen() + kKept) return false;
      memory_ -= connection.memory();
      return true;
    });
    at = at->second.empty() ? pairs_.erase(at) : std::next(at);
  }
}

}  // namespace sf::policy
